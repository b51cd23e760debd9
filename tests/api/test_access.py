"""Who is let in: tokens, sessions with CSRF, and the order in which refusals come."""

import gc
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.sessions import SessionStore
from carecollective.help_requests.models import HelpRequest
from messaging_v2.services import create_conversation_atomic
from tests.api.conftest import Block, Caller, MakeMember
from tests.api.documented import DocumentedClient
from tests.roles import as_role

SIGN_IN = "/api/auth/token"
LIST = "/api/messaging/conversations"
PASSWORD = "correct horse battery"


@pytest.fixture
def ada(member: MakeMember) -> User:
    return member(name="Ada", email="ada@example.org", set_password=PASSWORD)


def sign_in(client: DocumentedClient, **given: Any) -> Any:
    return client.post(SIGN_IN, {"email": "ada@example.org", "password": PASSWORD} | given, format="json")


def test_a_token_is_given_once_kept_as_a_hash_and_expires(anyone: DocumentedClient, ada: User) -> None:
    answer = sign_in(anyone, email=" Ada@Example.org ")
    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "expiry"}
    assert answer["Cache-Control"] == "no-store"
    stored = AuthToken.objects.get()
    assert answer.json()["token"] not in (stored.digest, stored.token_key)
    assert timezone.now() < stored.expiry < timezone.now() + timedelta(days=31)


def test_a_token_needs_no_cookie_and_sets_none(anyone: DocumentedClient, ada: User) -> None:
    anyone.credentials(HTTP_AUTHORIZATION=f"Token {sign_in(anyone).json()['token']}")
    answer = anyone.get(LIST)
    assert answer.status_code == 200
    assert not anyone.cookies
    assert "Cookie" not in answer.get("Vary", "")


def test_a_token_costs_one_statement(caller: Caller, helper: User, statements: Block) -> None:
    client = caller(helper)
    caller(helper)
    with statements() as made:
        client.get(f"/api/help-requests/{uuid4()}")
    assert len(made) == 2


def test_a_token_ends_with_its_time_its_member_or_its_deletion(caller: Caller, helper: User, owner: User) -> None:
    client, other = caller(helper), caller(owner)
    assert client.get(LIST).status_code == 200
    with as_role("owner"):
        AuthToken.objects.filter(user=helper).update(expiry=timezone.now() - timedelta(seconds=1))
    assert client.get(LIST).status_code == 401
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert other.get(LIST).status_code == 401


@pytest.mark.parametrize(
    "header", ["Token", "Token a b", "Token wrong", "Token \xe9\xe9", "Bearer x", "Basic eDp5", "\xff"]
)
def test_a_header_that_is_no_token_of_ours_signs_nobody_in(anyone: DocumentedClient, header: str) -> None:
    answer = anyone.get(LIST, HTTP_AUTHORIZATION=header)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "given",
    [
        {"email": None},
        {"password": None},
        {"password": 1234567890},
        {"email": ["ada@example.org"]},
        {"email": "ada\0@example.org"},
        {"email": "a" * 300 + "@example.org"},
        {"password": "\0"},
        {"password": "x" * 5000},
    ],
)
def test_what_is_no_text_is_no_sign_in(
    anyone: DocumentedClient, ada: User, nothing_written: Block, given: dict[str, Any]
) -> None:
    with nothing_written():
        answer = sign_in(anyone, **given)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert set(answer.json()["error"]["fields"]) == set(given)
    assert not AuthToken.objects.exists()


def test_half_a_character_is_no_sign_in(anyone: DocumentedClient, ada: User) -> None:
    for body in (r'{"email": "\ud83d", "password": "x"}', r'{"email": "ada@example.org", "password": "\ud83d"}'):
        answer = anyone.generic("POST", SIGN_IN, body, content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


def test_only_failed_sign_ins_lock_an_account_out(anyone: DocumentedClient, ada: User, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    for _ in range(6):
        assert sign_in(anyone).status_code == 200
    answers = [sign_in(anyone, password="wrong") for _ in range(3)]
    assert answers[0].status_code == 401
    assert answers[0].json()["error"]["code"] == "unauthorized"
    locked = sign_in(anyone)
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(locked["Retry-After"]) > 0


def test_a_wrong_password_and_an_unknown_address_answer_alike(anyone: DocumentedClient, ada: User) -> None:
    wrong, unknown = sign_in(anyone, password="wrong"), sign_in(anyone, email="nobody@example.org")
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())


@pytest.fixture
def by_session(helper: User, db: None) -> DocumentedClient:
    client = DocumentedClient(enforce_csrf_checks=True)
    client.force_login(helper, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_session_writes_only_with_the_csrf_token(
    by_session: DocumentedClient, groceries: HelpRequest, nothing_written: Block
) -> None:
    place = f"/api/messaging/help-requests/{groceries.pk}/start-conversation"
    body = {"initial_message": "Hello, I can help with your groceries!"}
    assert by_session.get(LIST).status_code == 200
    with nothing_written():
        refused = by_session.post(place, body, format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    secret = "a" * 32
    by_session.cookies["csrftoken"] = secret
    assert by_session.post(place, body, format="json", HTTP_X_CSRFTOKEN=secret).status_code == 201


def test_a_sessions_reads_stay_within_their_statements(
    by_session: DocumentedClient, groceries: HelpRequest, statements: Block
) -> None:
    for place, most in ((LIST, 4), ("/api/help-requests", 3)):
        with statements() as made:
            assert by_session.get(place).status_code == 200
        assert len(made) <= most


PLACES = [
    ("GET", "/api/help-requests/{}"),
    ("POST", "/api/messaging/help-requests/{}/start-conversation"),
    ("GET", "/api/messaging/conversations/{}"),
    ("GET", "/api/messaging/conversations/{}/messages"),
    ("POST", "/api/messaging/conversations/{}/messages"),
    ("POST", "/api/messaging/conversations/{}/read"),
]
MALFORMED = [
    "1",
    "request-123",
    "2f1c2b1e3f7a4d5c9a531d1f5b6c2f10",
    "00000000-0000-0000-0000-00000000000g",
    "%00",
    "a%2Fb",
]


@pytest.mark.parametrize(("method", "place"), PLACES)
def test_signing_in_comes_first_then_the_id_then_the_body(
    anyone: DocumentedClient, caller: Caller, helper: User, nothing_written: Block, method: str, place: str
) -> None:
    client = caller(helper)
    with nothing_written():
        for key in ("not-a-uuid", str(uuid4())):
            answer = anyone.generic(method, place.format(key), "[", content_type="application/json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        answer = client.generic(method, place.format("not-a-uuid"), "[", content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
        if method == "POST":
            answer = client.generic(method, place.format(uuid4()), "[", content_type="application/json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


@pytest.mark.parametrize("key", MALFORMED[:5])
@pytest.mark.parametrize(("method", "place"), PLACES)
def test_a_malformed_id_is_invalid_input(caller: Caller, helper: User, method: str, place: str, key: str) -> None:
    answer = caller(helper).generic(method, place.format(key), "{}", content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


def test_capital_letters_in_an_id_are_no_mistake(caller: Caller, helper: User, groceries: HelpRequest) -> None:
    assert caller(helper).get(f"/api/help-requests/{str(groceries.pk).upper()}").status_code == 200


@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/messaging/conversations/", "/api/help-requests/a/b"])
def test_an_unknown_address_answers_in_the_envelope(caller: Caller, helper: User, path: str) -> None:
    answer = caller(helper).get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("application/json")
    assert answer.json()["error"]["code"] == "not_found"


def test_the_wrong_method_answers_in_the_envelope(caller: Caller, helper: User) -> None:
    answer = caller(helper).delete(LIST)
    assert (answer.status_code, answer.json()["error"]["code"], answer["Allow"]) == (
        405,
        "method_not_allowed",
        "GET, HEAD, OPTIONS",
    )


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png"])
def test_whatever_is_accepted_the_answer_is_json(caller: Caller, helper: User, accept: str) -> None:
    answer = caller(helper).get(LIST, HTTP_ACCEPT=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("sign_in_by", ["token", "session"])
def test_a_database_that_is_away_at_sign_in_is_a_503(
    caller: Caller, by_session: DocumentedClient, helper: User, sign_in_by: str
) -> None:
    client = caller(helper) if sign_in_by == "token" else by_session

    def lose_it(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError("connection refused")

    client.raise_request_exception = False
    with connection.execute_wrapper(lose_it):
        answer = client.get(LIST)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_error")
    assert int(answer["Retry-After"]) > 0


def test_every_answer_carries_a_request_id(anyone: DocumentedClient) -> None:
    assert anyone.get(LIST, HTTP_X_REQUEST_ID="abc-12345678")["X-Request-ID"] == "abc-12345678"
    for bad in ("short", "with spaces in it", "x" * 200, "line\nbreak-1234"):
        assert anyone.get(LIST, HTTP_X_REQUEST_ID=bad)["X-Request-ID"] != bad


@pytest.fixture
def conversation(helper: User, groceries: HelpRequest) -> UUID:
    return create_conversation_atomic(
        actor=helper, helper_id=helper.pk, help_request_id=groceries.pk, initial_message="Hello, I can help!"
    ).pk


def test_a_token_alone_says_who_calls(caller: Caller, helper: User, owner: User, conversation: UUID) -> None:
    """A call about messages by token looks at no session: neither whose it is, nor whether there is one."""
    client = caller(helper)
    client.force_login(owner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SessionStore, "load", lambda self: pytest.fail("A session was looked up."))
        answer = client.get(LIST)
        assert answer.json()["results"][0]["other_participant"]["id"] == str(owner.pk)
        assert "Cookie" not in answer.get("Vary", "")
        client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
        assert client.get(LIST).status_code == 401
    # Whatever is no token is nobody's, and the session says who it is.
    for scheme in ("Basic abc", "Tokens abc", "Tokenabc", "", "token"):
        client.credentials(HTTP_AUTHORIZATION=scheme)
        assert client.get(LIST).status_code == (401 if scheme == "token" else 200), scheme


def test_a_call_leaves_nothing_to_the_garbage_collector(helper: User, conversation: UUID) -> None:
    _stored, token = AuthToken.objects.create(user=helper)
    # The test client would add cycles of its own.
    handler, requests = WSGIHandler(), RequestFactory(HTTP_AUTHORIZATION=f"Token {token}")
    thread, said = f"{LIST}/{conversation}", {"content": "Hello"}
    for make in (
        lambda: requests.get(LIST),
        lambda: requests.get(thread),
        lambda: requests.get(f"{thread}/messages"),
        lambda: requests.post(f"{thread}/messages", said, content_type="application/json"),
    ):
        assert handler.get_response(make()).status_code in (200, 201)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            handler.get_response(make())
            gc.collect()
            left = {type(one) for one in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert not left & {Request, Response, WSGIRequest}
