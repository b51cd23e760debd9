"""Signing in with a code that is sent by mail: the same answer for every address, and nothing to guess."""

import re
from statistics import median
from time import perf_counter
from urllib.parse import quote_from_bytes

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from carecollective.accounts.models import User
from carecollective.accounts.sign_in import tokens
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from tests.accounts.codes import code_in_mail

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
ASK, CONFIRM = "/login/code", "/login/code/confirm"
PASSWORD = "a member's own words"


@pytest.fixture
def ada(member):
    return member(name="Ada", email="ada@example.org", set_password=PASSWORD)


def ask(browser=None, email="ada@example.org", **more):
    return (browser or Client()).post(ASK, {"email": email} | more)


def test_the_code_signs_in_and_leads_where_they_wanted_to_go(ada):
    browser = Client()
    answer = ask(browser, email=" ADA@example.org", next="/messages")
    assert (answer.status_code, answer["Location"]) == (302, f"{CONFIRM}?next=%2Fmessages")
    code = code_in_mail()
    answer = browser.post(answer["Location"], {"code": code.lower(), "next": "/messages"})
    assert (answer.status_code, answer["Location"]) == (302, "/messages")
    assert browser.session[SESSION_KEY] == str(ada.pk)
    assert browser.session[BACKEND_SESSION_KEY] == "carecollective.accounts.authentication.LimitedBackend"
    assert browser.session.get_expiry_age() > 3600


def test_the_code_works_in_the_browser_that_asked_and_once(ada):
    browser, elsewhere = Client(), Client()
    ask(browser)
    code = code_in_mail()
    assert elsewhere.post(CONFIRM, {"code": code})["Location"] == ASK
    assert browser.post(CONFIRM, {"code": code}).status_code == 302
    browser.post("/logout")
    assert browser.post(CONFIRM, {"code": code})["Location"] == ASK


def test_two_browsers_each_get_their_own_code(ada):
    first, second = Client(), Client()
    ask(first)
    ask(second)
    assert send_waiting() == 2
    found = re.findall(r"[A-Z]{4}-[A-Z]{4}", "".join(str(letter.body) for letter in mail.outbox))
    assert len(set(found)) == 2
    assert {first.post(CONFIRM, {"code": code}).status_code for code in found} == {
        302,
        400,
    } or SESSION_KEY in first.session


def test_wrong_codes_end_the_sign_in_alike_for_everybody(ada):
    seen = []
    for email in ("ada@example.org", "nobody@example.org"):
        browser = Client()
        ask(browser, email=email)
        answers = [browser.post(CONFIRM, {"code": "BBBB-BBBB"}) for _try in range(4)]
        seen.append([(answer.status_code, answer.get("Location")) for answer in answers])
    assert seen[0] == seen[1] == [(400, None), (400, None), (302, ASK), (302, ASK)]


@pytest.mark.parametrize(
    "overtake",
    [
        lambda ada: tokens.sign_out_everywhere(actor=ada),
        lambda ada: ada.replace_password("quite another one"),
        lambda ada: User.objects.filter(pk=ada.pk).update(is_active=False),
    ],
    ids=["signed out everywhere", "a new password", "shut out"],
)
def test_a_change_of_the_account_ends_codes_on_their_way(ada, overtake):
    browser = Client()
    ask(browser)
    code = code_in_mail()
    overtake(User.objects.get(pk=ada.pk))
    browser.post(CONFIRM, {"code": code})
    assert SESSION_KEY not in browser.session


def what_a_browser_gets(path, email):
    browser = Client()
    answer = browser.post(path, {"email": email, "password": "wrong"})
    page = browser.get(answer["Location"]) if answer.get("Location") else answer
    same = re.compile(r'name="(csrfmiddlewaretoken|id|rendered-at)".*?>')
    texts = [same.sub("", one.content.decode()).replace(email, "ADDRESS") for one in (answer, page)]
    headers = [{k: v for k, v in one.items() if k not in ("X-Request-ID", "Expires")} for one in (answer, page)]
    return answer.status_code, texts, headers, sorted(browser.cookies)


@pytest.mark.parametrize("path", [ASK, "/password/forgotten", "/login"])
def test_nobody_learns_who_is_a_member(ada, member, path):
    member(email="old@example.org", is_active=False)
    known, unknown, gone = (what_a_browser_gets(path, f"{name}@example.org") for name in ("ada", "nil", "old"))
    assert known == unknown == gone


@pytest.mark.parametrize("path", [ASK, "/password/forgotten"])
def test_an_unknown_address_takes_the_same_statements_and_time(ada, path):
    counts: dict[str, int] = {}
    took: dict[str, list[float]] = {"ada": [], "nobody": []}
    for _turn in range(5):
        for name, times in took.items():
            with CaptureQueriesContext(connection) as statements:
                began = perf_counter()
                Client().post(path, {"email": f"{name}@example.org"})
                times.append(perf_counter() - began)
            counts[name] = len(statements)
    assert counts["ada"] == counts["nobody"]
    assert 0.5 < median(took["ada"]) / median(took["nobody"]) < 2


@pytest.mark.parametrize("path", [ASK, "/password/forgotten"])
def test_one_mailbox_gets_ten_mails_an_hour_member_or_not(ada, path):
    for email in ("ada@example.org", "nobody@example.org"):
        answers = [Client().post(path, {"email": email}).status_code for _try in range(11)]
        assert answers == [302] * 10 + [429]
    assert OutgoingMail.objects.count() <= 10


def test_one_network_asks_for_a_limited_number_of_mails(settings):
    settings.SIGN_UPS_PER_HOUR = 3
    answers = [ask(email=f"someone{turn}@example.org").status_code for turn in range(4)]
    assert answers == [302, 302, 302, 429]


@pytest.mark.parametrize("email", ["", "nonsense", "a\0@example.org", "a" * 300 + "@example.org", "\ud800@example.org"])
def test_what_is_no_address_is_refused(email):
    browser = Client(raise_request_exception=False)
    answer = browser.generic(
        "POST", ASK, f"email={email}".encode("utf-8", "surrogatepass"), "application/x-www-form-urlencoded"
    )
    assert answer.status_code == 400
    assert not OutgoingMail.objects.exists()


@pytest.mark.parametrize("code", ["", "\0", "\ud800", "B" * 100_000, "ＢＢＢＢ-ＢＢＢＢ", "0", "<script>"])
@pytest.mark.parametrize("path", [CONFIRM, "/account/email/code"])
def test_any_text_for_a_code_is_a_wrong_one(ada, signed_in, path, code):
    browser = Client() if path == CONFIRM else signed_in(ada)
    ask(browser)
    if path != CONFIRM:
        ada.emailaddress_set.update(verified=False)
        browser.post("/account/email/send-code")
    body = b"code=" + quote_from_bytes(code.encode("utf-8", "surrogatepass")).encode()
    answer = browser.generic("POST", path, body, "application/x-www-form-urlencoded")
    assert answer.status_code == 400


def test_a_locked_account_still_gets_in_with_a_code(ada):
    for _try in range(6):
        answer = Client().post("/login", {"email": "ada@example.org", "password": "wrong"})
    assert answer.status_code == 429
    browser = Client()
    ask(browser)
    assert browser.post(CONFIRM, {"code": code_in_mail()}).status_code == 302
    assert SESSION_KEY in browser.session


def test_a_code_confirms_the_address_it_was_sent_to(member):
    member(email="zoe@example.org", verification_status="pending")
    browser = Client()
    ask(browser, email="zoe@example.org")
    browser.post(CONFIRM, {"code": code_in_mail()})
    assert "Please confirm your e-mail address" not in browser.get("/account").content.decode()


def test_a_visitors_half_done_sign_in_is_kept_for_an_hour(ada):
    browser = Client()
    ask(browser)
    assert browser.session.get_expiry_age() <= 3600
