"""Nobody sets a password for somebody else; who forgot theirs gets a link, and chooses."""

import re

import pytest
from django.contrib.auth import authenticate
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from django.utils.html import escape
from knox.models import AuthToken

from carecollective.accounts.admin import MemberAdmin
from carecollective.accounts.models import User
from carecollective.accounts.sign_in.passwords import send_password_link
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import DomainNotFound, NotPermitted
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from tests.accounts.forms import MEMBERS, change_member

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
OLD, NEW = "three green apples", "seven yellow pears"


@pytest.fixture
def ada(member):
    return member(name="Ada", email="ada@example.org", set_password=OLD)


@pytest.fixture
def at_home(ada, signed_in):
    """Ada's browser at home, signed in before she forgot: to sign in later would have used up the link."""
    return signed_in(ada)


@pytest.fixture
def link(ada, staff):
    """The address of the page that a link leads to."""
    send_password_link(actor=staff(), member_id=ada.pk)
    assert send_waiting() == 1
    (letter,) = mail.outbox
    assert letter.to == ["ada@example.org"]
    (path,) = re.findall(r"http://127.0.0.1:\d+(/password\?\S+)", str(letter.body))
    return path


def choose(link, password, client=None):
    fields = dict(part.split("=") for part in link.partition("?")[2].split("&"))
    return (client or Client()).post("/password", fields | {"password": password})


def can_sign_in(password):
    return Client().post("/login", {"email": "ada@example.org", "password": password}).status_code == 302


def test_the_link_leads_to_a_new_password_once(ada, link):
    page = Client().get(link)
    assert page.status_code == 200
    assert "Choose a new password" in page.content.decode()
    answer = choose(link, NEW)
    assert (answer.status_code, answer["Location"]) == (302, "/login?password=new")
    assert "Your new password is kept" in Client().get(answer["Location"]).content.decode()
    assert can_sign_in(NEW)
    assert not can_sign_in(OLD)
    for again in (Client().get(link), choose(link, "another good password")):
        assert again.status_code == 400
        assert "used already, or it is too old" in again.content.decode()
    assert can_sign_in(NEW)


def test_a_new_password_ends_sessions_and_tokens_and_a_lock(ada, at_home, link, api_client):
    program = api_client(ada)
    for _try in range(6):
        Client().post("/login", {"email": "ada@example.org", "password": "wrong"})
    assert not can_sign_in(OLD)
    assert at_home.get("/account").status_code == 200
    assert choose(link, NEW).status_code == 302
    assert at_home.get("/account").status_code == 302
    assert program.get("/api/messaging/conversations").status_code == 401
    assert not AuthToken.objects.exists()
    assert can_sign_in(NEW)


def test_staff_who_change_their_own_password_end_their_tokens_too(staff, signed_in):
    sam = staff(set_password=OLD)
    AuthToken.objects.create(sam)
    form = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
    assert signed_in(sam).post("/admin/password_change/", form).status_code == 302
    assert not AuthToken.objects.exists()


def test_a_member_who_may_no_longer_sign_in_has_no_tokens_either(ada, staff, signed_in):
    AuthToken.objects.create(ada)
    change_member(signed_in(staff()), ada, is_active=None)
    assert not User.objects.get(pk=ada.pk).is_active
    assert not AuthToken.objects.exists()


@pytest.mark.parametrize("password", ["", "short", "password123", "ada@example.org", "with\0nothing"])
def test_a_refused_password_keeps_the_link_valid(ada, link, password):
    answer = choose(link, password)
    assert answer.status_code == 400
    assert "Please look at what is marked" in answer.content.decode()
    assert choose(link, NEW).status_code == 302


@pytest.mark.parametrize(
    "spoil",
    [
        lambda link: "/password",
        lambda link: link.replace("token=", "token=x"),
        lambda link: link.partition("&")[0],
        lambda link: link.replace("account=", "account=%00"),
        lambda link: re.sub("account=[^&]*", "account=00000000-0000-0000-0000-000000000000", link),
        lambda link: link + "%F0%9F%8D%8E",
    ],
)
def test_another_link_opens_nothing(ada, link, spoil):
    assert Client().get(spoil(link)).status_code == 400
    answer = choose(spoil(link), NEW) if "&" in spoil(link) else Client().post("/password", {"password": NEW})
    assert answer.status_code == 400
    assert can_sign_in(OLD)


def test_a_link_grows_old(ada, link, settings):
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert Client().get(link).status_code == 400
    assert choose(link, NEW).status_code == 400
    assert can_sign_in(OLD)


def test_a_link_to_an_account_that_was_closed_opens_nothing(ada, link):
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert choose(link, NEW).status_code == 400


def test_staff_have_a_link_sent_and_never_see_it(ada, staff, signed_in):
    client = signed_in(staff(is_superuser=False))
    form = {"action": "send_password_link", "_selected_action": [str(ada.pk)]}
    page = client.post(MEMBERS, form, follow=True).content.decode()
    assert "1 link is on its way." in page
    assert send_waiting() == 1
    (letter,) = mail.outbox
    (token,) = re.findall(r"token=(\S+)", str(letter.body))
    assert token not in page
    assert "Had a link sent" in client.get(f"{MEMBERS}{ada.pk}/history/").content.decode()


def test_only_higher_ranks_send_password_links(ada, member, staff):
    helper, administrator = staff(is_superuser=False), staff()
    for actor, target, refusal in (
        (member(), ada, NotPermitted),
        (ada, ada, NotPermitted),
        (staff(is_active=False), ada, NotPermitted),
        (helper, administrator, NotPermitted),
        (helper, staff(is_superuser=False), NotPermitted),
        (administrator, User(), DomainNotFound),
    ):
        with pytest.raises(refusal):
            send_password_link(actor=actor, member_id=target.pk)
    assert (send_waiting(), mail.outbox) == (0, [])


def test_who_has_no_address_or_may_not_sign_in_is_told_to_staff(member, staff, signed_in):
    nobody, gone = member(name="O'Hara", email=None), member(name="Gone", is_active=False)
    form = {"action": "send_password_link", "_selected_action": [str(nobody.pk), str(gone.pk)]}
    page = signed_in(staff()).post(MEMBERS, form, follow=True).content.decode()
    assert page.count("nowhere to send a link to") == 2
    assert escape("O'Hara") in page
    assert (send_waiting(), mail.outbox) == (0, [])


def test_a_mail_server_that_is_away_is_told_to_staff(ada, staff, signed_in, monkeypatch):
    def away(*given):
        raise ConnectionRefusedError

    client = signed_in(staff())
    form = {"action": "send_password_link", "_selected_action": [str(ada.pk)]}
    assert "1 link is on its way" in client.post(MEMBERS, form, follow=True).content.decode()
    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", away)
        assert send_waiting() == 0
    page = client.get("/admin/mail/outgoingmail/").content.decode()
    assert "Link to choose a password" in page
    assert "The mail server did not answer (ConnectionRefusedError)." in page
    OutgoingMail.objects.update(next_try_at=ClockTimestamp())
    assert send_waiting() == 1
    assert mail.outbox[0].to == ["ada@example.org"]


def test_no_table_ever_holds_a_link(ada, link, beyond_policies):
    (token,) = re.findall(r"token=(\S+)", link)
    with beyond_policies() as cursor:
        cursor.execute("SELECT string_agg(m::text, ' ') FROM mail_outgoingmail m")
        (rows,) = cursor.fetchone()
    assert str(ada.pk) in rows
    assert token not in rows


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_sets_a_password_for_somebody_else(ada, staff, signed_in, superuser):
    client = signed_in(staff(is_superuser=superuser))
    for path in (f"{MEMBERS}{ada.pk}/password/", f"{MEMBERS}{staff().pk}/password/"):
        assert client.get(path).status_code == 403
        form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
        assert client.post(path, form).status_code == 403
    assert can_sign_in(OLD)
    page = client.get(f"{MEMBERS}{ada.pk}/change/").content.decode()
    assert "password" not in re.sub(r"<header.*?</header>", "", page, flags=re.DOTALL).replace("password_change", "")


def test_who_may_change_members_may_not_change_those_above_them(ada, staff, signed_in):
    from django.contrib.auth.models import Permission

    helper = staff(is_superuser=False)
    helper.user_permissions.add(Permission.objects.get(codename="change_user"))
    client, administrator = signed_in(helper), staff(name="Root")
    assert change_member(client, administrator, name="Renamed").status_code == 403
    assert User.objects.get(pk=administrator.pk).name == "Root"
    assert change_member(client, ada, name="Renamed").status_code == 302
    assert User.objects.get(pk=ada.pk).name == "Renamed"


def test_a_change_by_staff_keeps_a_password_chosen_meanwhile(ada, link, staff, signed_in, monkeypatch):
    client, keep = signed_in(staff()), MemberAdmin.save_model

    def save_late(self, request, obj, form, change):
        assert choose(link, NEW).status_code == 302
        keep(self, request, obj, form, change)

    monkeypatch.setattr(MemberAdmin, "save_model", save_late)
    assert change_member(client, ada, name="Renamed").status_code == 302
    assert User.objects.get(pk=ada.pk).name == "Renamed"
    assert can_sign_in(NEW)
    assert not can_sign_in(OLD)


def test_nobody_takes_a_name_for_a_while_in_the_admin_either(staff, signed_in):
    root = staff(name="Root")
    assert change_member(signed_in(root), root, name="Amina", is_staff="on", is_superuser="on").status_code == 302
    assert User.objects.get(pk=root.pk).name == "Root"


def test_a_link_leads_to_the_sites_own_address(ada, staff, signed_in, settings):
    settings.ALLOWED_HOSTS, settings.SITE_ADDRESS = ["care.example"], "https://care.example"
    form = {"action": "send_password_link", "_selected_action": [str(ada.pk)]}
    signed_in(staff()).post(MEMBERS, form, headers={"host": "care.example:9999"})
    send_waiting()
    assert "https://care.example/password?" in str(mail.outbox[0].body)
    assert "9999" not in str(mail.outbox[0].body)


def test_a_token_is_not_issued_for_a_password_that_was_just_replaced(ada, link, monkeypatch):
    def check_early(*given, **more):
        found = authenticate(*given, **more)
        assert choose(link, NEW).status_code == 302
        return found

    monkeypatch.setattr("carecollective.accounts.services.authenticate", check_early)
    answer = Client().post(
        "/api/auth/token", {"email": "ada@example.org", "password": OLD}, content_type="application/json"
    )
    assert answer.status_code == 401
    assert not AuthToken.objects.exists()
