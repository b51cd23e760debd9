"""Who joins shows that mail reaches them, by a code. Approval waits for it; looking around does not."""

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.db import connection
from django.test import Client

from carecollective.accounts.models import User
from carecollective.accounts.services import AddressNotConfirmed, approve_member
from carecollective.accounts.sign_in.addresses import is_confirmed
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from tests.accounts.codes import code_in_mail
from tests.pages.test_accounts import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
CODE_PAGE = "/account/email/code"
OFFER = "/requests/6f9619ff-8b86-d011-b42d-00c04fc964ff"


def join(browser, email="zoe@example.org", **fields):
    return browser.post("/signup", {"name": "Zoë", "email": email, "password": PASSWORD} | fields)


def sign_in(browser, email="zoe@example.org", password=PASSWORD):
    return browser.post("/login", {"email": email, "password": password})


def test_the_code_from_the_mail_confirms_the_address_and_signs_in():
    browser = Client()
    answer = join(browser)
    assert (answer.status_code, answer["Location"]) == (302, CODE_PAGE)
    assert SESSION_KEY not in browser.session
    code = code_in_mail()
    assert mail.outbox[-1].to == ["zoe@example.org"]
    assert "Zoë" not in mail.outbox[-1].body
    answer = browser.post(CODE_PAGE, {"code": code.lower().replace("-", " ")})
    assert (answer.status_code, answer["Location"]) == (302, "/account?welcome=1")
    zoe = User.objects.get(email="zoe@example.org")
    assert browser.session[SESSION_KEY] == str(zoe.pk)
    assert is_confirmed(zoe)
    assert "Please confirm your e-mail address" not in browser.get("/account").content.decode()


def test_who_has_no_code_yet_signs_in_and_has_one_sent_later():
    join(Client())
    browser = Client()
    assert sign_in(browser)["Location"] == "/account?welcome=1"
    page = browser.get("/account").content.decode()
    assert "Please confirm your e-mail address" in page
    assert "waiting for approval" in page
    assert browser.post("/account/email/send-code")["Location"] == CODE_PAGE
    assert browser.post(CODE_PAGE, {"code": "BBBB-BBBB"}).status_code == 400
    answer = browser.post(CODE_PAGE, {"code": code_in_mail()})
    assert (answer.status_code, answer["Location"]) == (302, "/account?saved=email")
    assert is_confirmed(User.objects.get(email="zoe@example.org"))


def test_a_code_belongs_to_the_browser_that_asked_for_it():
    browser = Client()
    join(browser)
    code, elsewhere = code_in_mail(), Client()
    assert elsewhere.post(CODE_PAGE, {"code": code})["Location"] == "/login"
    assert not EmailAddress.objects.get(email="zoe@example.org").verified


def test_after_three_wrong_codes_the_right_one_is_too_late():
    browser = Client()
    join(browser)
    code = code_in_mail()
    answers = [browser.post(CODE_PAGE, {"code": "BBBB-BBBB"}).status_code for _try in range(3)]
    assert answers == [400, 400, 302]
    assert browser.post(CODE_PAGE, {"code": code})["Location"] == "/login"


def test_no_session_and_no_mail_row_holds_the_code(beyond_policies):
    browser = Client()
    join(browser)
    code = code_in_mail().replace("-", "")
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_data FROM django_session")
        sessions = cursor.fetchall()
    with beyond_policies() as cursor:
        cursor.execute("SELECT m::text FROM mail_outgoingmail m")
        mails = cursor.fetchall()
    assert sessions
    assert mails
    assert code not in str(sessions) + str(mails).replace("-", "")


def test_nobody_approves_an_unconfirmed_address(staff, settings):
    settings.SENDS_MAIL = True
    browser, amina = Client(), staff()
    join(browser)
    zoe = User.objects.get(email="zoe@example.org")
    with pytest.raises(AddressNotConfirmed):
        approve_member(actor=amina, member_id=zoe.pk)
    assert User.objects.get(pk=zoe.pk).verification_status == "pending"
    browser.post(CODE_PAGE, {"code": code_in_mail()})
    approve_member(actor=amina, member_id=zoe.pk)
    assert User.objects.get(pk=zoe.pk).is_approved


def test_a_site_that_sends_no_mail_approves_without(staff):
    join(Client())
    zoe = User.objects.get(email="zoe@example.org")
    approve_member(actor=staff(), member_id=zoe.pk)
    assert User.objects.get(pk=zoe.pk).is_approved


def test_where_somebody_wanted_to_go_survives_joining():
    browser = Client()
    page = browser.get(f"/signup?next={OFFER}").content.decode()
    assert f'name="next" value="{OFFER}"' in page
    join(browser, next=OFFER)
    zoe = User.objects.get(email="zoe@example.org")
    assert zoe.wanted_path == OFFER
    browser.post(CODE_PAGE, {"code": code_in_mail()})
    assert f'href="{OFFER}"' in browser.get("/account?welcome=1").content.decode()


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/x", "http://[", "javascript:1", "x" * 600])
def test_no_other_place_survives_joining(wanted):
    assert join(Client(), next=wanted).status_code == 302
    assert User.objects.get(email="zoe@example.org").wanted_path is None


def test_members_from_before_count_as_confirmed(member):
    assert is_confirmed(member(email="ada@example.org"))


def test_a_late_code_is_not_sent(monkeypatch):
    join(Client())
    monkeypatch.setattr("carecollective.accounts.sign_in.codes.CODE_SECONDS", -1)
    send_waiting()
    assert (mail.outbox, OutgoingMail.objects.get().state) == ([], "skipped")


def test_the_web_role_gives_no_address_to_another_member(member):
    ada, ben = member(email="ada@example.org"), member(email="ben@example.org")
    with pytest.raises(Exception, match="belongs to another member"):
        EmailAddress.objects.filter(user_id=ada.pk).update(user_id=ben.pk)
