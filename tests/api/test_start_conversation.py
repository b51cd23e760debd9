"""Offering help through the API: the playbook's section 2.2 on the real thing, and every refusal of the contract's table."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.services import cancel_request
from messaging_v2.models import Conversation
from tests.api.conftest import Block, Caller, Make
from tests.api.documented import DocumentedClient

TEXT = "Hello, I can help with your groceries!"


def address(help_request_id: Any) -> str:
    return f"/api/messaging/help-requests/{help_request_id}/start-conversation"


def test_an_offer_opens_a_v2_conversation_with_its_first_message(
    caller: Caller, helper: User, owner: User, groceries: HelpRequest
) -> None:
    answer = caller(helper).post(address(groceries.pk), {"initial_message": f"  {TEXT}\r\n"}, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"success", "conversation_id", "version", "message"}
    assert body["success"] is True
    assert body["version"] == "v2"
    assert body["message"] == "Conversation created successfully"
    assert answer["Location"].endswith(f"/api/messaging/conversations/{body['conversation_id']}")
    with acting_as(owner):
        stored = Conversation.objects.get()
    assert (str(stored.pk), stored.initial_message) == (body["conversation_id"], TEXT)
    assert (stored.requester_id, stored.helper_id) == (owner.pk, helper.pk)


def test_a_helper_outside_the_cohort_gets_a_v1_conversation(
    caller: Caller, helper: User, groceries: HelpRequest, stage: Make
) -> None:
    stage("disabled")
    answer = caller(helper).post(address(groceries.pk), {"initial_message": TEXT}, format="json")
    assert (answer.status_code, answer.json()["version"]) == (201, "v1")


@pytest.mark.parametrize(("first_stage", "version"), [("enabled", "v2"), ("disabled", "v1")])
def test_a_second_offer_names_the_existing_conversation(
    caller: Caller,
    helper: User,
    groceries: HelpRequest,
    nothing_written: Block,
    stage: Make,
    first_stage: str,
    version: str,
) -> None:
    stage(first_stage)
    client = caller(helper)
    first = client.post(address(groceries.pk), {"initial_message": TEXT}, format="json").json()
    stage("enabled", v1_writes=False)
    with nothing_written():
        answer = client.post(address(groceries.pk), {"initial_message": "Second message"}, format="json")
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "conversation_exists"
    assert (error["conversation_id"], error["version"]) == (first["conversation_id"], version)


def test_nobody_helps_themselves(caller: Caller, owner: User, groceries: HelpRequest, nothing_written: Block) -> None:
    with nothing_written():
        answer = caller(owner).post(address(groceries.pk), {"initial_message": "I will help myself"}, format="json")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_input"
    assert answer.json()["error"]["message"] == "You cannot offer help on your own request"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"initial_message": None},
        {"initial_message": "too short"},
        {"initial_message": "   too short   "},
        {"initial_message": "x" * 1001},
        {"initial_message": "\u200b" * 20},
        {"initial_message": "nul \0 in the middle"},
        {"initial_message": "half a character \ud83d"},
        {"initial_message": 1234567890123},
        {"initial_message": ["a list is no text"]},
        {"initial_message": {"a": "map is no text"}},
    ],
)
def test_a_first_message_that_cannot_be_taken_is_named(
    caller: Caller, helper: User, groceries: HelpRequest, nothing_written: Block, body: dict[str, Any]
) -> None:
    with nothing_written():
        answer = caller(helper).generic(
            "POST", address(groceries.pk), json.dumps(body), content_type="application/json"
        )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "validation_error"
    assert set(answer.json()["error"]["fields"]) == {"initial_message"}


@pytest.mark.parametrize("length", [10, 1000])
def test_lengths_are_counted_in_code_points_with_both_ends_included(
    caller: Caller, helper: User, groceries: HelpRequest, length: int
) -> None:
    answer = caller(helper).post(address(groceries.pk), {"initial_message": "\N{RAINBOW}" * length}, format="json")
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        ("", "application/json"),
        ("[]", "application/json"),
        ('"text"', "application/json"),
        ("null", "application/json"),
        ("{", "application/json"),
        ('{"initial_message": NaN}', "application/json"),
        ('{"initial_message": "first of two", "initial_message": "second of two"}', "application/json"),
        ("[" * 5000 + "]" * 5000, "application/json"),
        (b"\xff\xfe", "application/json"),
        ("initial_message=Hello+from+a+form", "application/x-www-form-urlencoded"),
        ("<initial_message>Hello from XML</initial_message>", "application/xml"),
    ],
)
def test_a_malformed_body_is_a_validation_error(
    caller: Caller,
    helper: User,
    groceries: HelpRequest,
    nothing_written: Block,
    raw: Any,
    content_type: str,
) -> None:
    with nothing_written():
        answer = caller(helper).generic("POST", address(groceries.pk), raw, content_type=content_type)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


@pytest.mark.parametrize("status", ["completed", "cancelled", "closed"])
def test_a_request_that_has_ended_takes_no_offer(
    caller: Caller, helper: User, groceries: HelpRequest, nothing_written: Block, status: str
) -> None:
    HelpRequest.objects.filter(pk=groceries.pk).update(status=status)
    with nothing_written():
        answer = caller(helper).post(address(groceries.pk), {"initial_message": TEXT}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "help_request_unavailable")


def test_a_request_in_progress_takes_an_offer(caller: Caller, helper: User, groceries: HelpRequest) -> None:
    HelpRequest.objects.filter(pk=groceries.pk).update(status="in_progress")
    assert caller(helper).post(address(groceries.pk), {"initial_message": TEXT}, format="json").status_code == 201


def test_an_ended_request_still_names_the_existing_conversation(
    caller: Caller, helper: User, owner: User, groceries: HelpRequest
) -> None:
    client = caller(helper)
    client.post(address(groceries.pk), {"initial_message": TEXT}, format="json")
    cancel_request(actor=owner, help_request_id=groceries.pk)
    answer = client.post(address(groceries.pk), {"initial_message": TEXT}, format="json")
    assert answer.json()["error"]["code"] == "conversation_exists"


def test_an_unknown_request_is_not_found(caller: Caller, helper: User, nothing_written: Block) -> None:
    with nothing_written():
        answer = caller(helper).post(address(uuid4()), {"initial_message": TEXT}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "help_request_not_found")


@pytest.mark.parametrize("status", ["pending", "rejected"])
def test_a_member_who_is_not_approved_may_not_offer(
    caller: Caller, helper: User, groceries: HelpRequest, nothing_written: Block, status: str
) -> None:
    User.objects.filter(pk=helper.pk).update(verification_status=status)
    with nothing_written():
        answer = caller(helper).post(address(groceries.pk), {"initial_message": TEXT}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("field", ["helper_id", "sender_id", "requester_id", "user_id"])
def test_nobody_offers_in_another_members_name(
    caller: Caller,
    helper: User,
    outsider: User,
    groceries: HelpRequest,
    nothing_written: Block,
    field: str,
) -> None:
    with nothing_written():
        answer = caller(helper).post(
            address(groceries.pk), {"initial_message": TEXT, field: str(outsider.pk)}, format="json"
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


def test_naming_oneself_and_fields_we_do_not_know_changes_nothing(
    caller: Caller, helper: User, groceries: HelpRequest
) -> None:
    body = {"initial_message": TEXT, "helper_id": str(helper.pk).upper(), "user_id": None, "version": "v1", "more": [1]}
    answer = caller(helper).post(address(groceries.pk), body, format="json")
    assert (answer.status_code, answer.json()["version"]) == (201, "v2")


def test_the_eleventh_conversation_in_an_hour_has_to_wait(
    caller: Caller,
    helper: User,
    owner: User,
    help_request: Make,
    nothing_written: Block,
    settings: Any,
) -> None:
    settings.CONVERSATIONS_PER_HOUR = 2
    client = caller(helper)
    requests = [help_request(user=owner) for _ in range(3)]
    for request in requests[:2]:
        assert client.post(address(request.pk), {"initial_message": TEXT}, format="json").status_code == 201
    with nothing_written():
        answer = client.post(address(requests[2].pk), {"initial_message": TEXT}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(answer["Retry-After"]) <= 3600


def test_with_both_versions_closed_retry_after_is_given(
    caller: Caller, helper: User, groceries: HelpRequest, nothing_written: Block, stage: Make
) -> None:
    stage("disabled", v1_writes=False)
    with nothing_written():
        answer = caller(helper).post(address(groceries.pk), {"initial_message": TEXT}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "messaging_unavailable")
    assert int(answer["Retry-After"]) > 0


def test_a_database_lost_halfway_leaves_nothing_half_written(
    caller: Caller, helper: User, groceries: HelpRequest, nothing_written: Block
) -> None:
    client = caller(helper)

    def lose_it(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "core_count_use" in sql:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with nothing_written(), connection.execute_wrapper(lose_it):
        answer = client.post(address(groceries.pk), {"initial_message": TEXT}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_error")
    assert int(answer["Retry-After"]) > 0


def test_a_fault_of_ours_tells_its_id_and_no_more(
    caller: Caller, helper: User, groceries: HelpRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**given: Any) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("carecollective.inbox.api.offer_help", fail)
    answer = caller(helper).post(
        address(groceries.pk), {"initial_message": TEXT}, format="json", HTTP_X_REQUEST_ID="my-own-id-1"
    )
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["code"], error["request_id"], answer["X-Request-ID"]) == (
        "internal_server_error",
        *["my-own-id-1"] * 2,
    )
    assert "secret" not in answer.content.decode()


def test_every_offer_costs_the_same_number_of_statements(
    caller: Caller,
    helper: User,
    owner: User,
    help_request: Make,
    statements: Block,
) -> None:
    client = caller(helper)
    counts = []
    for request in [help_request(user=owner) for _ in range(4)]:
        with statements() as made:
            assert client.post(address(request.pk), {"initial_message": TEXT}, format="json").status_code == 201
        counts.append(len(made))
    assert len(set(counts)) == 1
    # One of them is what a drain certificate rests on: the shared lock, and the flag read anew behind it.
    assert counts[0] <= 8


def test_a_stranger_is_asked_to_sign_in_before_anything_else(
    anyone: DocumentedClient, groceries: HelpRequest, nothing_written: Block
) -> None:
    with nothing_written():
        for place in (address(groceries.pk), address("not-a-uuid"), address(uuid4())):
            answer = anyone.generic("POST", place, "{", content_type="application/json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
            assert answer["WWW-Authenticate"] == "Token, Bearer"
