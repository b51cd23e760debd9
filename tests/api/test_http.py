"""What the API says in headers: limits, methods, compression, and who else may call it."""

import gzip
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.services import offer_help
from tests.api.conftest import Caller
from tests.api.documented import DocumentedClient

LIST = "/api/messaging/conversations"
TEXT = "Hello, I can help with your groceries!"
ELSEWHERE = "https://app.example"


@pytest.fixture
def conversation(helper: User, groceries: HelpRequest) -> UUID:
    return offer_help(actor=helper, help_request_id=groceries.pk, initial_message=TEXT).conversation_id


def limit_of(answer: Any) -> tuple[str, int, int]:
    """Return the name of the limit, what is left and after how many seconds one more is free."""
    name, left, seconds = re.fullmatch(r'"(\w+)";r=(\d+);t=(\d+)', answer["RateLimit"]).groups()  # type: ignore[union-attr]
    return name, int(left), int(seconds)


def test_sending_says_how_much_is_left(caller: Caller, conversation: UUID, owner: User, settings: Any) -> None:
    settings.MESSAGES_PER_MINUTE = 2
    client, body = caller(owner), {"content": "Hello", "id": str(uuid4())}
    first, again, second, refused = (
        client.post(f"{LIST}/{conversation}/messages", given, format="json")
        for given in (body, body, {"content": "And"}, {"content": "One more"})
    )
    assert [answer.status_code for answer in (first, again, second, refused)] == [201, 200, 201, 429]
    for answer, left in ((first, 1), (second, 0), (refused, 0)):
        assert answer["RateLimit-Policy"] == '"send_message";q=2;w=60'
        name, remaining, seconds = limit_of(answer)
        assert (name, remaining) == ("send_message", left)
        assert 0 < seconds <= 60
    assert not again.has_header("RateLimit"), "a repeat uses nothing up"
    assert limit_of(refused)[2] == int(refused["Retry-After"])


def test_offering_says_how_much_is_left(caller: Caller, helper: User, groceries: HelpRequest, settings: Any) -> None:
    settings.CONVERSATIONS_PER_HOUR = 10
    answer = caller(helper).post(
        f"/api/messaging/help-requests/{groceries.pk}/start-conversation", {"initial_message": TEXT}, format="json"
    )
    assert answer["RateLimit-Policy"] == '"start_conversation";q=10;w=3600'
    assert limit_of(answer) == ("start_conversation", 9, 3600)


@pytest.mark.parametrize("path", [LIST, f"{LIST}/{UUID(int=0)}/messages", "/api/auth/token", "/api/auth/sign-out"])
def test_options_is_answered_as_allow_advertises(path: str) -> None:
    answer = Client().options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "OPTIONS" in answer["Allow"]
    assert Client().put(path).status_code in (401, 405)


def test_a_body_over_the_limit_is_413(caller: Caller, helper: User) -> None:
    answer = caller(helper).post("/api/help-requests", {"title": "x" * 300_000}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_search_takes_as_many_characters_as_the_schema_says(caller: Caller, helper: User) -> None:
    for search, status in (("a" * 100, 200), ("a" * 101, 400), (" " * 100 + "a", 400), ("", 200)):
        assert caller(helper).get("/api/help-requests", {"q": search}).status_code == status


def test_a_long_answer_is_compressed_and_its_etag_still_holds(
    caller: Caller, signed_in: Any, conversation: UUID, owner: User, helper: User
) -> None:
    client = caller(helper)
    for _ in range(5):
        caller(owner).post(f"{LIST}/{conversation}/messages", {"content": "Thank you! " * 20}, format="json")
    answer = signed_in(helper).get(f"{LIST}/{conversation}/messages", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer["Vary"]
    assert gzip.decompress(answer.content) == client.get(f"{LIST}/{conversation}/messages").content
    again = client.get(
        f"{LIST}/{conversation}/messages", HTTP_IF_NONE_MATCH=answer["ETag"], HTTP_ACCEPT_ENCODING="gzip"
    )
    assert again.status_code == 304


def test_the_length_of_a_compressed_page_tells_nothing(db: None) -> None:
    lengths = {len(Client().get("/requests", headers={"Accept-Encoding": "gzip"}).content) for _ in range(12)}
    assert len(lengths) > 3, "each answer is of another length (see decision 29)"


def test_no_other_origin_may_call_unless_the_operator_says_so(anyone: DocumentedClient, settings: Any) -> None:
    def preflight(path: str) -> Any:
        asked = {
            "Origin": ELSEWHERE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        return Client().options(path, headers=asked)

    def allowed(answer: Any) -> list[str]:
        return sorted(name.lower() for name, _value in answer.items() if name.lower().startswith("access-control"))

    assert allowed(preflight(LIST)) == allowed(anyone.get(LIST, HTTP_ORIGIN=ELSEWHERE)) == []
    settings.CORS_ALLOWED_ORIGINS = [ELSEWHERE]
    answer = preflight(LIST)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, ELSEWHERE)
    assert {"authorization", "if-none-match"} <= set(answer["Access-Control-Allow-Headers"].split(", "))
    refused = anyone.get(LIST, HTTP_ORIGIN=ELSEWHERE)
    assert (refused.status_code, refused["Access-Control-Allow-Origin"]) == (401, ELSEWHERE)
    assert "ratelimit" in refused["Access-Control-Expose-Headers"].lower()
    assert not refused.has_header("Access-Control-Allow-Credentials")
    assert allowed(anyone.get(LIST, HTTP_ORIGIN="https://evil.example")) == []
    assert allowed(Client().get("/requests", headers={"Origin": ELSEWHERE})) == [], "pages are for nobody's script"
