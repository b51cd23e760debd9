"""A second factor: apps for codes, recovery codes, passkeys. Staff may be required to have one."""

import json
import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from carecollective.accounts.models import User
from carecollective.accounts.sign_in import tokens
from carecollective.mail.models import OutgoingMail
from carecollective.privacy.erasure import erase_for_member
from tests.accounts.codes import code_in_mail
from tests.accounts.passkey import Passkey

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
PASSWORD = "a member's own words"
SECOND = "/login/second-factor"
AS_SCRIPT = {"X-Requested-With": "XMLHttpRequest", "Accept": "application/json"}


@pytest.fixture
def ada(staff):
    return staff(name="Ada", email="ada@example.org", set_password=PASSWORD)


def sign_in(password=PASSWORD, path="/login", field="email"):
    browser = Client()
    return browser, browser.post(path, {field: "ada@example.org", "password": password})


def app_code(secret, step=0):
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30 + step))


def confirmed():
    """A browser that is signed in and has confirmed that it is Ada."""
    browser, _answer = sign_in()
    browser.post("/account/confirm", {"password": PASSWORD})
    return browser


@pytest.fixture
def secret(ada):
    """Ada's app for codes is set up; return its secret."""
    return set_up_app(confirmed())


def set_up_app(browser):
    assert browser.get("/account/second-factor/app").status_code == 200
    found = browser.session["mfa.totp.secret"]
    # The code of the step before, so that the present one was not used.
    answer = browser.post("/account/second-factor/app", {"code": app_code(found, -1)})
    assert (answer.status_code, answer["Location"]) == (302, "/account/second-factor/codes")
    return found


def data_of(answer):
    (data,) = re.findall(r'id="js_data"[^>]*>(.*?)</script>', answer.content.decode())
    return json.loads(data)


@pytest.fixture
def passkey(ada, settings):
    settings.SITE_ADDRESS = "https://care.example"
    key, browser = Passkey("https://care.example"), confirmed()
    options = data_of(browser.get("/account/passkeys/add"))["creation_options"]
    form = {"name": "My phone", "credential": key.create(options), "passwordless": "on"}
    assert browser.post("/account/passkeys/add", form).status_code == 302
    return key


def passkey_options(browser):
    return browser.get("/login/passkey", headers=AS_SCRIPT).json()["request_options"]


# An app for codes


def test_adding_one_asks_for_the_password_first(ada):
    browser, _answer = sign_in()
    answer = browser.get("/account/second-factor/app")
    assert answer["Location"].startswith("/account/confirm?next=")
    assert browser.post("/account/confirm", {"password": "wrong"}).status_code == 400
    assert not Authenticator.objects.exists()


def test_the_password_alone_gets_nobody_in_any_more(secret):
    browser, answer = sign_in()
    assert (answer.status_code, answer["Location"]) == (302, SECOND)
    assert browser.get("/account").status_code == 302
    assert browser.post(SECOND, {"code": "000000"}).status_code == 400
    answer = browser.post(SECOND, {"code": app_code(secret)})
    assert (answer.status_code, answer["Location"]) == (302, "/requests")
    assert browser.get("/account").status_code == 200


def test_a_mailed_code_does_not_replace_it(secret):
    browser = Client()
    browser.post("/login/code", {"email": "ada@example.org"})
    assert browser.post("/login/code/confirm", {"code": code_in_mail()})["Location"] == SECOND
    assert SESSION_KEY not in browser.session


def test_nor_does_the_staff_sites_own_page(secret):
    browser, answer = sign_in(path="/admin/login/", field="username")
    assert answer["Location"] == SECOND
    assert browser.get("/admin/rollout/").status_code == 302
    browser.post(SECOND, {"code": app_code(secret)})
    assert browser.get("/admin/rollout/").status_code == 200


def test_where_they_wanted_to_go_survives_the_second_step(secret):
    browser = Client()
    browser.post("/login", {"email": "ada@example.org", "password": PASSWORD, "next": "/messages"})
    assert browser.post(SECOND, {"code": app_code(secret)})["Location"] == "/messages"


def test_a_code_counts_once_in_every_process(secret):
    code = app_code(secret)
    answers = []
    for _browser in range(2):
        browser, _answer = sign_in()
        answers.append(browser.post(SECOND, {"code": code}).status_code)
        cache.clear()
    assert answers == [302, 400]
    browser, _answer = sign_in()
    assert browser.post(SECOND, {"code": app_code(secret, 1)}).status_code == 302


def test_ten_wrong_codes_are_enough_from_any_browser(secret):
    answers = []
    for _try in range(11):
        browser, _answer = sign_in()
        answers.append(browser.post(SECOND, {"code": "000000"}).status_code)
    # Setting the app up was the first of the ten.
    assert answers == [400] * 9 + [429] * 2
    assert browser.post(SECOND, {"code": app_code(secret)}).status_code == 429


def test_the_secret_is_encrypted(secret, settings):
    stored = Authenticator.objects.get(type="totp").data["secret"]
    assert secret not in stored
    settings.SECRET_KEY = "lost"
    browser, _answer = sign_in()
    assert browser.post(SECOND, {"code": app_code(secret)}).status_code == 400
    settings.SECRET_KEY_FALLBACKS = []


@pytest.mark.parametrize(
    "overtake",
    [lambda ada: tokens.sign_out_everywhere(actor=ada), lambda ada: ada.replace_password("quite another one")],
    ids=["signed out everywhere", "a new password"],
)
def test_a_change_of_the_account_ends_a_sign_in_in_progress(secret, ada, overtake):
    browser, _answer = sign_in()
    overtake(User.objects.get(pk=ada.pk))
    browser.post(SECOND, {"code": app_code(secret)})
    assert SESSION_KEY not in browser.session


def test_adding_and_removing_it_is_told_by_mail(ada, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        secret = set_up_app(confirmed())
    browser, _answer = sign_in()
    browser.post(SECOND, {"code": app_code(secret)})
    browser.post("/account/confirm", {"password": PASSWORD})
    assert browser.get("/account/second-factor/app/remove").status_code == 200
    assert browser.post("/account/second-factor/app/remove").status_code == 302
    assert not Authenticator.objects.exists(), "recovery codes alone are no factor"
    kinds = set(OutgoingMail.objects.values_list("kind", flat=True))
    assert {"totp_activated", "totp_deactivated"} <= kinds
    assert sign_in()[1]["Location"] == "/requests"


# Recovery codes


def test_recovery_codes_are_shown_once_and_work_once(ada):
    browser = confirmed()
    set_up_app(browser)
    shown = re.findall(r"<code>(\w+)</code>", browser.get("/account/second-factor/codes").content.decode())
    assert len(shown) == 10
    assert "<code>" not in browser.get("/account/second-factor/codes").content.decode()
    answers = []
    for code in (shown[0], shown[0], shown[1]):
        browser, _answer = sign_in()
        answers.append(browser.post(SECOND, {"code": code}).status_code)
    assert answers == [302, 400, 302]


def test_new_recovery_codes_end_the_old_ones(ada):
    browser = confirmed()
    set_up_app(browser)
    (old, *_more) = re.findall(r"<code>(\w+)</code>", browser.get("/account/second-factor/codes").content.decode())
    assert browser.post("/account/second-factor/codes/new").status_code == 302
    browser, _answer = sign_in()
    assert browser.post(SECOND, {"code": old}).status_code == 400


# Passkeys


def test_a_passkey_signs_in_alone(passkey, ada):
    browser = Client()
    answer = browser.post("/login/passkey?next=/messages", {"credential": passkey.sign(passkey_options(browser))})
    assert (answer.status_code, answer["Location"]) == (302, "/messages")
    assert browser.session[SESSION_KEY] == str(ada.pk)


def test_a_passkey_is_a_second_factor_after_the_password(passkey):
    browser, answer = sign_in()
    assert answer["Location"] == SECOND
    options = data_of(browser.get(SECOND))["request_options"]
    assert browser.post(SECOND, {"credential": passkey.sign(options)}).status_code == 302
    assert SESSION_KEY in browser.session


def test_an_answer_for_another_page_or_of_another_time_is_refused(passkey, ada):
    first, second = Client(), Client()
    answer = passkey.sign(passkey_options(first))
    passkey_options(second)
    assert SESSION_KEY not in (second.post("/login/passkey", {"credential": answer}), second)[1].session
    first.post("/login/passkey", {"credential": answer})
    assert SESSION_KEY in first.session
    passkey.origin = "https://evil.example"
    third = Client()
    third.post("/login/passkey", {"credential": passkey.sign(passkey_options(third))})
    assert SESSION_KEY not in third.session


def test_who_is_shut_out_has_no_passkey(passkey, ada):
    User.objects.filter(pk=ada.pk).update(is_active=False)
    browser = Client()
    browser.post("/login/passkey", {"credential": passkey.sign(passkey_options(browser))})
    assert SESSION_KEY not in browser.session


def test_passkeys_are_listed_and_removed(passkey, ada, staff, signed_in):
    key = Authenticator.objects.get(type="webauthn").pk
    stranger = signed_in(staff(set_password=PASSWORD))
    stranger.post("/account/confirm", {"password": PASSWORD})
    assert stranger.post(f"/account/passkeys/remove?passkey={key}").status_code == 404
    browser = Client()
    browser.post("/login/passkey", {"credential": passkey.sign(passkey_options(browser))})
    assert "My phone" in browser.get("/account/second-factor").content.decode()
    browser.post("/account/confirm", {"password": PASSWORD})
    assert "My phone" in browser.get(f"/account/passkeys/remove?passkey={key}").content.decode()
    assert browser.post(f"/account/passkeys/remove?passkey={key}").status_code == 302
    assert not Authenticator.objects.filter(type="webauthn").exists()


BAD_ANSWERS = [
    "", "[]", "{}", "null", "1", '"x"', "{", '{"response": null}', '{"response": []}', '{"response": {"userHandle": 5}}',
    '{"response": {"userHandle": "\\u0000"}}', '{"rawId": [], "response": {"clientDataJSON": {}}}', '{"a":"\\ud800"}',
    "[" * 5000,
    '{"id": "YQ", "rawId": "YQ", "type": "public-key", "response": {"clientDataJSON": "bnVsbA", "authenticatorData":'
    ' "AAAA", "signature": "AA", "userHandle": "AA"}}',
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_any_text_for_a_passkey_is_a_wrong_answer(passkey, bad):
    visitor, (half_in, _answer), browser = Client(), sign_in(), confirmed_by(passkey)
    passkey_options(visitor)
    for where, path, more in (
        (visitor, "/login/passkey", {}),
        (half_in, SECOND, {}),
        (browser, "/account/passkeys/add", {"name": "x"}),
        (browser, "/account/confirm/passkey", {}),
    ):
        where.get(path)
        assert where.post(path, {"credential": bad} | more).status_code in (302, 400), path
    assert SESSION_KEY not in visitor.session
    assert SESSION_KEY not in half_in.session


def confirmed_by(passkey):
    browser = Client()
    browser.post("/login/passkey", {"credential": passkey.sign(passkey_options(browser))})
    browser.post("/account/confirm", {"password": PASSWORD})
    return browser


# What staff need


def test_staff_need_it_where_it_is_required(ada, settings):
    settings.STAFF_MFA = "required"
    browser = confirmed()
    for path in ("/admin/", "/admin/rollout/", "/admin/accounts/user/"):
        answer = browser.get(path, follow=True)
        assert answer.redirect_chain[-1][0].startswith("/account/second-factor?next=")
        assert browser.post(path, {}).status_code == 302
    set_up_app(browser)
    assert browser.get("/admin/rollout/").status_code == 302, "this session was begun without"


def test_the_staff_site_opens_to_a_session_with_it(secret, settings):
    settings.STAFF_MFA = "required"
    browser, _answer = sign_in()
    browser.post(SECOND, {"code": app_code(secret)})
    assert browser.get("/admin/rollout/").status_code == 200


def test_members_need_none_where_staff_do(member, settings):
    settings.STAFF_MFA = "required"
    member(email="ben@example.org", set_password=PASSWORD)
    browser = Client()
    assert browser.post("/login", {"email": "ben@example.org", "password": PASSWORD})["Location"] == "/requests"


def test_an_operator_resets_it_with_a_reason(secret, ada):
    with pytest.raises(CommandError):
        call_command("reset_second_factor", "nobody@example.org", "--reason", "lost phone")
    with pytest.raises(CommandError):
        call_command("reset_second_factor", "ada@example.org", "--reason", " ")
    assert Authenticator.objects.exists()
    call_command("reset_second_factor", "ADA@example.org", "--reason", "Lost her phone, called us")
    assert not Authenticator.objects.exists()
    assert "Lost her phone" in LogEntry.objects.get(object_id=str(ada.pk)).change_message
    assert sign_in()[1]["Location"] == "/requests"


# Tokens


def ask_for_token(**more):
    form = {"email": "ada@example.org", "password": PASSWORD} | more
    return Client().post("/api/auth/token", form, content_type="application/json")


def test_a_token_takes_the_code_too(secret):
    for more in ({}, {"code": ""}, {"code": "000000"}, {"code": "\0"}):
        answer = ask_for_token(**more)
        assert answer.status_code in (400, 403), more
    assert ask_for_token().json()["error"]["code"] == "permission_denied"
    assert not tokens.list_tokens(member=User.objects.get(email="ada@example.org"))
    code = app_code(secret)
    assert ask_for_token(code=code).status_code == 200
    assert ask_for_token(code=code).status_code == 403, "a code counts once"


def test_a_code_is_never_asked_before_the_password(secret):
    assert ask_for_token(password="wrong", code=app_code(secret)).status_code == 401


def test_staff_without_a_factor_get_no_token_where_it_is_required(ada, settings):
    assert ask_for_token().status_code == 200
    settings.STAFF_MFA = "required"
    assert ask_for_token().status_code == 403


def test_who_has_no_password_is_led_to_choose_one(staff, signed_in):
    browser = signed_in(staff())
    answer = browser.get("/account/second-factor/app")
    assert (answer.status_code, answer["Location"]) == (302, "/password/forgotten")


# Leaving


def test_an_erasure_leaves_no_factor_behind(secret, ada, staff):
    erase_for_member(actor=staff(), member_id=ada.pk)
    assert not Authenticator.objects.exists()


def test_the_web_role_gives_no_factor_to_another_member(secret, member):
    with pytest.raises(Exception, match="belongs to another member"):
        Authenticator.objects.update(user_id=member().pk)
