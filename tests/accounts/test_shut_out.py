"""Who is shut out stays out: no form, session, link or token from before brings them back."""

import re
from urllib.parse import parse_qs, urlsplit

import bcrypt
import pytest
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.test import Client
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.hashers import from_legacy_hash
from carecollective.accounts.sign_in.passwords import choose_password, is_link_valid, send_password_link
from carecollective.mail.delivery import send_waiting
from carecollective.privacy.erasure import erase_for_member
from tests.accounts.forms import change_member

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
OLD, NEW = "three green apples", "seven yellow pears"
NEW_PASSWORD = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
RIGHTS = ("is_active", "is_staff", "is_superuser")


@pytest.fixture
def root(staff):
    return staff(name="Root")


@pytest.fixture
def mal(staff):
    return staff(name="Mal", email="mal@example.org", set_password=OLD)


@pytest.fixture
def ada(member):
    return member(name="Ada", email="ada@example.org", set_password=OLD)


def link_for(ada, root):
    send_password_link(actor=root, member_id=ada.pk)
    assert send_waiting() == 1
    (address,) = re.findall(r"\S+/password\?\S+", str(mail.outbox[-1].body))
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_a_new_password_on_its_way_does_not_undo_being_shut_out(root, mal, signed_in, monkeypatch):
    administrator, browser, checked = signed_in(root), signed_in(mal), User.check_password

    def check_early(self, raw_password):
        found = checked(self, raw_password)
        assert change_member(administrator, mal, is_active=None).status_code == 302
        return found

    monkeypatch.setattr(User, "check_password", check_early)
    answer = browser.post("/admin/password_change/", NEW_PASSWORD)
    assert "Your account was changed meanwhile" in answer.content.decode()
    monkeypatch.undo()
    row = User.objects.get(pk=mal.pk)
    assert [getattr(row, name) for name in RIGHTS] == [False] * 3
    assert row.check_password(OLD)
    assert browser.get("/admin/").status_code == 302


def test_a_concurrent_new_password_does_not_undo_an_erasure(root, mal, signed_in, monkeypatch):
    browser, checked = signed_in(mal), User.check_password

    def check_early(self, raw_password):
        found = checked(self, raw_password)
        erase_for_member(actor=root, member_id=mal.pk)
        return found

    monkeypatch.setattr(User, "check_password", check_early)
    browser.post("/admin/password_change/", NEW_PASSWORD)
    row = User.objects.get(pk=mal.pk)
    assert (row.name, row.email, row.password) == ("Former member", None, "!")
    assert [getattr(row, name) for name in RIGHTS] == [False] * 3
    assert browser.get("/admin/").status_code == 302


def test_a_row_is_never_written_whole(ada):
    ada.name = "Somebody"
    with pytest.raises(TypeError):
        ada.save()
    User.objects.filter(pk=ada.pk).update(is_active=False)
    ada.set_password(NEW)
    ada.save()
    row = User.objects.get(pk=ada.pk)
    assert (row.name, row.is_active, row.check_password(NEW)) == ("Ada", False, True)


def test_guesses_at_the_password_page_count_as_failed_sign_ins(mal, signed_in):
    browser = signed_in(mal)
    for _guess in range(5):
        answer = browser.post("/admin/password_change/", NEW_PASSWORD | {"old_password": "a guess"})
    assert answer.status_code == 429
    assert browser.post("/admin/password_change/", NEW_PASSWORD).status_code == 429
    assert User.objects.get(pk=mal.pk).check_password(OLD)


def test_letting_a_member_in_again_opens_no_session_from_before(ada, root, signed_in):
    thief, administrator = signed_in(ada), signed_in(root)
    assert thief.get("/account").status_code == 200
    assert change_member(administrator, ada, is_active=None).status_code == 302
    assert change_member(administrator, ada).status_code == 302
    assert User.objects.get(pk=ada.pk).is_active
    assert thief.get("/account").status_code == 302
    assert Client().post("/login", {"email": "ada@example.org", "password": OLD}).status_code == 302


def test_letting_a_member_in_again_opens_no_link_from_before(ada, root, signed_in):
    link, administrator = link_for(ada, root), signed_in(root)
    assert is_link_valid(**link)
    change_member(administrator, ada, is_active=None)
    change_member(administrator, ada)
    assert not is_link_valid(**link)
    assert is_link_valid(**link_for(User.objects.get(pk=ada.pk), root))


def test_a_token_is_not_issued_to_who_was_just_shut_out(ada, root, signed_in, monkeypatch):
    administrator, checked = signed_in(root), User.check_password

    def check_early(self, raw_password):
        found = checked(self, raw_password)
        change_member(administrator, ada, is_active=None)
        return found

    monkeypatch.setattr(User, "check_password", check_early)
    body = {"email": "ada@example.org", "password": OLD}
    assert Client().post("/api/auth/token", body, content_type="application/json").status_code == 401
    assert not AuthToken.objects.exists()


def test_a_link_ends_with_any_sign_in(ada, root):
    link = link_for(ada, root)
    body = {"email": "ada@example.org", "password": OLD}
    assert Client().post("/api/auth/token", body, content_type="application/json").status_code == 200
    assert not is_link_valid(**link)


def test_rehashing_a_legacy_password_does_not_undo_a_new_one(ada, root, monkeypatch):
    legacy = from_legacy_hash(bcrypt.hashpw(OLD.encode(), bcrypt.gensalt(4)).decode())
    User.objects.filter(pk=ada.pk).update(password=legacy)
    link, thief = link_for(User.objects.get(pk=ada.pk), root), Client()

    def work_late(password):
        monkeypatch.undo()
        choose_password(**link, password=NEW)
        return make_password(password)

    monkeypatch.setattr("carecollective.accounts.models.make_password", work_late)
    thief.post("/login", {"email": "ada@example.org", "password": OLD})
    row = User.objects.get(pk=ada.pk)
    assert row.check_password(NEW)
    assert not row.check_password(OLD)
    assert thief.get("/account").status_code == 302


def test_failures_before_a_token_count_no_more_after_it(ada):
    def answer(password):
        body = {"email": "ada@example.org", "password": password}
        return Client().post("/api/auth/token", body, content_type="application/json").status_code

    assert [answer("wrong") for _ in range(4)] == [401] * 4
    assert answer(OLD) == 200
    assert [answer("wrong"), answer(OLD)] == [401, 200]


def test_a_member_has_so_many_tokens_and_the_oldest_ends(ada):
    body = {"email": "ada@example.org", "password": OLD}
    keys = [AuthToken.objects.create(ada)[1] for _ in range(20)]
    keys.append(Client().post("/api/auth/token", body, content_type="application/json").json()["token"])

    def answer(key):
        return Client(headers={"Authorization": f"Token {key}"}).get("/api/messaging/conversations").status_code

    assert AuthToken.objects.filter(user=ada).count() == 20
    assert [answer(keys[0]), answer(keys[1]), answer(keys[-1])] == [401, 200, 200]


def test_an_address_that_grows_in_lower_case_is_no_members(db):
    body = {"email": "İ" * 200 + "@example.org", "password": OLD}
    assert Client().post("/api/auth/token", body, content_type="application/json").status_code == 401
