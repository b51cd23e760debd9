"""What was typed is shown again where it could not be taken, without JavaScript: signed out, a stale token, a database away."""

import re
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.utils.html import escape

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox import services
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import offer_help
from carecollective.moderation.services import report_message
from tests.hostile.forms import forms_of

pytestmark = pytest.mark.django_db
WORDS = "I could come on Friday,\r\nafter <b>lunch</b>."
KINDS = ("ask", "offer", "thread", "report", "continue")


@pytest.fixture
def forms(member, help_request, stage):
    """A member, and what they send where: kinds, each with an address and its fields."""
    stage("enabled")
    own, other = help_request(title="Bread"), help_request(title="A lift")
    started = offer_help(actor=member(), help_request_id=own.pk, initial_message="I could do that.")
    thread = f"/messages/{started.conversation_id}"
    return own.user, {
        "ask": ("/requests/new", {"id": str(uuid4()), "title": "Milk", "description": WORDS, "category": "other"}),
        "offer": (f"/requests/{other.pk}", {"initial_message": WORDS}),
        "thread": (thread, {"id": str(uuid4()), "last_sent": "", "message": WORDS}),
        "report": (f"{thread}/report", {"message": "", "reason": "spam", "words": WORDS}),
        "continue": (f"{thread}/continue", {"initial_message": WORDS}),
    }


def kept_form(address, answer):
    """Return the form that shows the words again."""
    page = answer.content.decode()
    assert escape(WORDS).replace("\r\n", "\n") in page.replace("\r\n", "\n")
    (found,) = [form for form in forms_of(address, page) if form.method == "POST"]
    assert found.path == address
    return found.fields


def with_token(client, answer, fields):
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.content.decode())
    assert token
    return fields | {"csrfmiddlewaretoken": token[1]}


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_signed_out_keeps_what_they_wrote(visitor, forms, nothing_written, kind):
    _member, sent = forms
    address, fields = sent[kind]
    with nothing_written():
        answer = visitor.post(address, fields)
    assert answer.status_code == 401
    assert kept_form(address, answer) == {name: value.replace("\r\n", "\r\n") for name, value in fields.items()}
    assert 'href="/login?next=/' in answer.content.decode()
    assert answer["Cache-Control"] in ("no-store", "private, no-store")
    assert not Session.objects.exists()
    assert WORDS not in str(answer.headers)


@pytest.mark.parametrize("kind", ["ask", "offer", "thread", "report"])
def test_signing_in_meanwhile_and_sending_again_takes_it(forms, kind):
    """In another tab: the sign-in changes the token, so the words are shown once more before they are taken."""
    member, sent = forms
    address, fields = sent[kind]
    client = Client(enforce_csrf_checks=True)
    client.get("/login")
    first = client.post(address, fields | {"csrfmiddlewaretoken": client.cookies["csrftoken"].value})
    assert first.status_code == 401
    stale = with_token(client, first, kept_form(address, first))
    client.force_login(member, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["csrftoken"] = "a" * 32
    second = client.post(address, stale)
    assert second.status_code == 403
    assert "Send again" in second.content.decode()
    third = client.post(address, with_token(client, second, kept_form(address, second)))
    assert third.status_code == 302
    assert client.get(third["Location"]).status_code == 200


def test_a_stale_token_sends_nothing_by_itself(signed_in, forms, nothing_written):
    member, sent = forms
    address, fields = sent["thread"]
    client = signed_in(member, enforce_csrf_checks=True)
    with nothing_written():
        answer = client.post(address, fields | {"csrfmiddlewaretoken": "b" * 32})
    assert answer.status_code == 403
    assert kept_form(address, answer) == fields
    assert "<script" not in answer.content.decode()


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]
)
def test_another_sites_form_is_not_shown_as_ones_own(signed_in, visitor, forms, headers):
    member, sent = forms
    address, fields = sent["thread"]
    for client in (signed_in(member, enforce_csrf_checks=True), Client(enforce_csrf_checks=True)):
        answer = client.post(address, fields, headers=headers)
        assert answer.status_code == 403
        assert "after &lt;b&gt;lunch" not in answer.content.decode()


def test_a_visitor_without_words_is_asked_to_sign_in(visitor, forms):
    _member, sent = forms
    address = sent["thread"][0]
    for path, fields in ((address, {"id": str(uuid4()), "message": " "}), (f"{address}/close", {})):
        assert visitor.post(path, fields)["Location"] == f"/login?next={path}"


def test_a_password_is_never_written_back(visitor):
    client = Client(enforce_csrf_checks=True)
    fields = {"id": str(uuid4()), "name": "Ada Lovelace", "email": "ada@example.org", "password": "long and secret"}
    page = client.post("/signup", fields | {"reason": WORDS}).content.decode()
    assert "long and secret" not in page
    assert 'type="password" name="password"' in page
    assert "Ada Lovelace" in page
    page = client.post("/password", {"account": "a b", "token": "t-1", "password": "long and secret"}).content.decode()
    assert "t-1" not in page


def test_a_database_that_is_away_costs_no_words(signed_in, forms, monkeypatch):
    def away(**given):
        raise OperationalError("connection refused")

    member, sent = forms
    monkeypatch.setattr(services, "offer_help", away)
    monkeypatch.setattr(services, "send_message", away)
    for kind in ("offer", "thread"):
        address, fields = sent[kind]
        answer = signed_in(member).post(address, fields)
        assert answer.status_code == 503
        assert escape(WORDS).replace("\r\n", "\n") in answer.content.decode().replace("\r\n", "\n")


def test_a_database_away_before_the_page_costs_no_words(forms, monkeypatch):
    """Nobody can be asked who is signed in: the error page itself shows the words again."""

    def away(*args, **kwargs):
        raise OperationalError("connection refused")

    member, sent = forms
    client = Client(raise_request_exception=False)
    client.force_login(member, backend="django.contrib.auth.backends.ModelBackend")
    monkeypatch.setattr("carecollective.accounts.sign_in.sessions.SessionStore.load", away)
    for kind in KINDS:
        address, fields = sent[kind]
        answer = client.post(address, fields)
        assert answer.status_code == 503
        assert kept_form(address, answer) == fields


@pytest.fixture
def staff_forms(forms, member):
    """What staff send where."""
    reporter, sent = forms
    key = sent["thread"][0].split("/")[-1]
    report = report_message(actor=reporter, conversation_id=key, message_id=None, reason="spam", words="")
    applicant = member(name="Ada", verification_status="pending")
    return {
        "/admin/applicants/": {"chosen": str(applicant.pk), "reason": WORDS, "reject": "yes"},
        f"/admin/moderation/report/{report.pk}/change/": {
            "choice": "warn",
            "days": "1",
            "daily_limit": "",
            "reason": WORDS,
            "words": "Please do not.",
            "act": "Do it",
        },
        "/admin/rollout/": {"action": "roll_back", "reason": WORDS},
        "/admin/accounts/user/": {"action": "reject", "reason": WORDS, "_selected_action": str(applicant.pk)},
    }


def test_staff_who_are_signed_out_keep_what_they_wrote(visitor, staff_forms, nothing_written):
    for address, fields in staff_forms.items():
        with nothing_written():
            answer = visitor.post(address, fields)
        assert answer.status_code == 401
        assert kept_form(address, answer) == fields
        page = answer.content.decode()
        assert f'href="/admin/login/?next={address}"' in page
        assert '<p class="panel as-written">Do it</p>' not in page
        assert answer["Cache-Control"] in ("no-store", "private, no-store")


def test_staff_who_sign_in_meanwhile_send_it_again(staff, staff_forms):
    sam = staff(name="Sam")
    for address, fields in staff_forms.items():
        client = Client(enforce_csrf_checks=True)
        client.get("/login")
        first = client.post(address, fields | {"csrfmiddlewaretoken": client.cookies["csrftoken"].value})
        stale = with_token(client, first, kept_form(address, first))
        client.force_login(sam, backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["csrftoken"] = "a" * 32
        second = client.post(address, stale)
        assert second.status_code == 403
        assert client.post(address, with_token(client, second, kept_form(address, second))).status_code in (200, 302)
    applicant = User.objects.get(pk=staff_forms["/admin/applicants/"]["chosen"])
    assert applicant.rejection_reason == WORDS.replace("\r\n", "\n")


def test_staff_without_words_are_asked_to_sign_in(visitor, staff_forms):
    for address, fields in staff_forms.items():
        for button in ("approve", "reject", "act", "action", "show"):
            answer = visitor.post(address, {button: "yes", "chosen": fields.get("chosen", ""), "reason": " "})
            assert answer["Location"] == f"/admin/login/?next={address}"
    assert visitor.post("/admin/logout/").status_code == 302


def test_nothing_of_it_gets_into_the_logs(visitor, forms, caplog, capsys):
    _member, sent = forms
    for address, fields in sent.values():
        visitor.post(address, fields)
        Client(enforce_csrf_checks=True).post(address, fields)
    written = caplog.text + "".join(capsys.readouterr())
    assert "lunch" not in written
    assert not HelpRequest.objects.filter(title="Milk").exists()
    member, _sent = forms
    assert len(list_conversations(reader=member).rows) == 1
    key = sent["thread"][0].split("/")[-1]
    assert open_thread(reader=member, conversation_id=key, mark_read=False).messages == []
