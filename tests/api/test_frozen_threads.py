"""The ways on from a frozen legacy thread, for programs."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.services import complete_request
from carecollective.inbox.services import offer_help
from tests.api.conftest import Block, Caller, Make

LIST = "/api/messaging/conversations"
TEXT = "Hello, I can help with your groceries!"
GO_ON = {"initial_message": "Let us go on talking here."}


@pytest.fixture
def frozen(helper: User, groceries: HelpRequest, stage: Make) -> UUID:
    """A legacy conversation about the groceries, which takes no new messages any more."""
    stage("disabled")
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=TEXT)
    assert started.version == "v1"
    stage("enabled")
    return started.conversation_id


def test_a_refused_message_names_the_way_on_and_asks_nobody_to_wait(
    caller: Caller, frozen: UUID, owner: User, helper: User
) -> None:
    for member, action in ((owner, "ask"), (helper, "continue")):
        client = caller(member)
        refused = client.post(f"{LIST}/{frozen}/messages", {"content": "Hello?"}, format="json")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "messaging_unavailable")
        assert not refused.has_header("Retry-After")
        path = f"{LIST}/{frozen}/{action}"
        way_on = {"action": action, "href": path, "conversation_id": None}
        shown = client.get(f"{LIST}/{frozen}")
        assert refused.json()["error"]["way_on"] == shown.json()["way_on"] == way_on
        assert refused["Link"] == shown["Link"] == f'<{path}>; rel="urn:carecollective:{action}"'


def test_its_requester_asks_and_its_helper_goes_on(caller: Caller, frozen: UUID, owner: User, helper: User) -> None:
    asks, helps = caller(owner), caller(helper)
    for _ in range(2):
        assert asks.post(f"{LIST}/{frozen}/ask").status_code == 204
    assert asks.get(f"{LIST}/{frozen}").json()["way_on"] == {"action": "asked", "href": None, "conversation_id": None}
    started = helps.post(helps.get(f"{LIST}/{frozen}").json()["way_on"]["href"], GO_ON, format="json")
    assert (started.status_code, started.json()["version"]) == (201, "v2")
    new = started.json()["conversation_id"]
    assert started["Location"].endswith(f"{LIST}/{new}")
    for client in (asks, helps):
        shown = client.get(f"{LIST}/{frozen}")
        assert shown.json()["way_on"] == {"action": "continued", "href": f"{LIST}/{new}", "conversation_id": new}
        assert shown["Link"] == f'<{LIST}/{new}>; rel="successor-version"'
        assert (
            client.get(shown.json()["way_on"]["href"]).json()["conversation"]["initial_message"]
            == GO_ON["initial_message"]
        )
    again = helps.post(f"{LIST}/{frozen}/continue", GO_ON, format="json")
    assert (again.status_code, again.json()["error"]["conversation_id"]) == (409, new)


def test_only_the_helper_continues_and_only_the_requester_asks(
    caller: Caller, frozen: UUID, owner: User, helper: User, outsider: User, nothing_written: Block
) -> None:
    with nothing_written():
        for member, action, status in (
            (owner, "continue", 400),
            (helper, "ask", 400),
            (outsider, "continue", 404),
            (outsider, "ask", 404),
        ):
            answer = caller(member).post(f"{LIST}/{frozen}/{action}", GO_ON, format="json")
            assert answer.status_code == status
        for action in ("continue", "ask"):
            answer = caller(owner).post(f"{LIST}/{frozen}/{action}", GO_ON | {"helper_id": str(uuid4())}, format="json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


def test_waiting_is_advised_only_where_it_can_help(
    caller: Caller, frozen: UUID, owner: User, groceries: HelpRequest, stage: Make
) -> None:
    def send() -> Any:
        return caller(owner).post(f"{LIST}/{frozen}/messages", {"content": "Hello?"}, format="json")

    stage("percentage:50", v1_writes=False)
    assert not send().has_header("Retry-After"), "one can ask the helper"
    complete_request(actor=owner, help_request_id=groceries.pk)
    assert (send()["Retry-After"], send().json()["error"]["way_on"]) == ("300", None)
    stage("enabled")
    assert not send().has_header("Retry-After"), "V1 does not come back by itself"
    stage("disabled", v1_writes=False)
    assert send()["Retry-After"] == "300", "paused for everybody"
