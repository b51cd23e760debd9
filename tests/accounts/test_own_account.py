"""Members help themselves: a forgotten password, a new password, a new address."""

import re

import pytest
from allauth.account.models import EmailAddress
from axes.models import AccessAttempt
from django.core import mail
from django.test import Client
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from tests.accounts.codes import code_in_mail

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
OLD, NEW = "three green apples", "seven yellow pears"
CODE_PAGE = "/account/email/code"


@pytest.fixture
def ada(member):
    return member(name="Ada", email="ada@example.org", set_password=OLD)


def sign_in(email="ada@example.org", password=OLD):
    browser = Client()
    return browser if browser.post("/login", {"email": email, "password": password}).status_code == 302 else None


# A forgotten password


def test_who_forgot_their_password_helps_themselves(ada):
    answer = Client().post("/password/forgotten", {"email": " Ada@Example.org "})
    assert (answer.status_code, answer["Location"]) == (302, "/password/forgotten?sent=1")
    assert "on its way" in Client().get(answer["Location"]).content.decode()
    assert send_waiting() == 1
    (letter,) = mail.outbox
    assert letter.to == ["ada@example.org"]
    ((account, token),) = re.findall(r"/password\?account=(\S+)&token=(\S+)", str(letter.body))
    answer = Client().post("/password", {"account": account, "token": token, "password": NEW})
    assert answer["Location"] == "/login?password=new"
    assert sign_in(password=NEW)
    assert not sign_in(password=OLD)


def test_no_link_goes_to_who_may_not_sign_in(member):
    member(email="gone@example.org", is_active=False)
    for email in ("gone@example.org", "nobody@example.org"):
        assert Client().post("/password/forgotten", {"email": email}).status_code == 302
    assert not OutgoingMail.objects.exists()


@pytest.mark.parametrize("email", ["", "nonsense", "a\0@example.org"])
def test_a_refused_address_stays_in_its_field(email):
    answer = Client().post("/password/forgotten", {"email": email})
    assert answer.status_code == 400
    assert "Please check your e-mail address." in answer.content.decode()


# A new password


def change_password(browser, old=OLD, new=NEW):
    return browser.post("/account/password", {"old_password": old, "password": new})


def test_a_new_password_keeps_this_browser_and_ends_all_else(ada):
    here, elsewhere = sign_in(), sign_in()
    AuthToken.objects.create(ada)
    answer = change_password(here)
    assert (answer.status_code, answer["Location"]) == (302, "/account?saved=password")
    assert here.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 302
    assert not AuthToken.objects.exists()
    assert sign_in(password=NEW)
    send_waiting()
    assert [(letter.to, letter.subject) for letter in mail.outbox] == [
        (["ada@example.org"], "Your password was changed")
    ]


@pytest.mark.parametrize("new", ["", "short", "password123", "ada@example.org", "with\0nothing"])
def test_a_bad_new_password_is_refused(ada, new):
    assert change_password(sign_in(), new=new).status_code == 400
    assert sign_in()
    assert not OutgoingMail.objects.exists()


def test_a_wrong_old_password_counts_like_a_failed_sign_in(ada):
    browser = sign_in()
    answers = [change_password(browser, old="wrong").status_code for _try in range(6)]
    assert answers[:4] == [400] * 4
    assert AccessAttempt.objects.get().failures_since_start >= 4
    assert answers[-1] in (400, 429)
    assert change_password(browser).status_code in (400, 429), "locked, also for the right one"
    assert User.objects.get(pk=ada.pk).check_password(OLD)


# A new address


def change_email(browser, email="ada@new.example", password=OLD):
    return browser.post("/account/email", {"email": email, "password": password})


def test_a_new_address_counts_once_its_code_was_typed(ada):
    browser = sign_in()
    answer = change_email(browser, email=" ADA@new.example ")
    assert (answer.status_code, answer["Location"]) == (302, CODE_PAGE)
    code = code_in_mail()
    assert mail.outbox[-1].to == ["ada@new.example"]
    assert "Ada" not in str(mail.outbox[-1].body)
    ada.refresh_from_db()
    assert ada.email == "ada@example.org"
    answer = browser.post(CODE_PAGE, {"code": code})
    assert (answer.status_code, answer["Location"]) == (302, "/account?saved=email")
    ada.refresh_from_db()
    assert ada.email == "ada@new.example"
    assert list(EmailAddress.objects.values_list("email", "verified", "primary")) == [("ada@new.example", True, True)]
    assert sign_in(email="ada@new.example")
    assert not sign_in()
    send_waiting()
    assert (mail.outbox[-1].to, mail.outbox[-1].subject) == (["ada@example.org"], "Your e-mail address was changed")


def test_a_taken_address_looks_like_any_other_until_the_code(ada, member):
    member(email="ben@example.org")
    browser = sign_in()
    assert change_email(browser, email="ben@example.org")["Location"] == CODE_PAGE
    code = code_in_mail()
    assert mail.outbox[-1].to == ["ben@example.org"]
    answer = browser.post(CODE_PAGE, {"code": code})
    assert answer.status_code == 400
    assert "belongs to another member" in answer.content.decode()
    assert User.objects.get(pk=ada.pk).email == "ada@example.org"


def test_two_members_cannot_confirm_one_address(ada, member):
    member(name="Ben", email="ben@example.org", set_password=OLD)
    first, second = sign_in(), sign_in(email="ben@example.org")
    codes = []
    for browser in (first, second):
        change_email(browser, email="one@new.example")
        codes.append(code_in_mail())
    assert first.post(CODE_PAGE, {"code": codes[0]}).status_code == 302
    assert second.post(CODE_PAGE, {"code": codes[1]}).status_code == 400
    assert User.objects.filter(email="one@new.example").count() == 1


@pytest.mark.parametrize(
    "change",
    [{"email": "nonsense"}, {"email": ""}, {"email": "ada@example.org"}, {"password": "wrong"}, {"password": ""}],
)
def test_a_refused_change_sends_nothing(ada, change):
    answer = change_email(sign_in(), **change)
    assert answer.status_code == 400
    assert not OutgoingMail.objects.exists()
    assert User.objects.get(pk=ada.pk).email == "ada@example.org"


def test_the_account_page_leads_to_every_change(ada):
    page = sign_in().get("/account").content.decode()
    for path in ("/account/email", "/account/password"):
        assert f'href="{path}"' in page
