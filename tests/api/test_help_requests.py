from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from tests.api.conftest import Block, Caller, Make

LIST = "/api/help-requests"


def test_asking_for_help_takes_no_more_than_a_title(caller: Caller, owner: User) -> None:
    answer = caller(owner).post(LIST, {"title": "  Need\n groceries "}, format="json")
    assert answer.status_code == 201
    body = answer.json()
    assert body["title"] == "Need groceries"
    assert body["owner"] == {"id": str(owner.pk), "name": "Olga"}
    assert (body["description"], body["category"], body["urgency"], body["status"]) == (None, "other", "normal", "open")
    assert caller(owner).get(answer["Location"]).json() == body


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, {"title"}),
        ({"title": None}, {"title"}),
        ({"title": " "}, {"title"}),
        ({"title": 7}, {"title"}),
        ({"title": "x" * 1000}, {"title"}),
        ({"description": ["x"]}, {"description"}),
        ({"description": "x" * 5000}, {"description"}),
        ({"category": "magic"}, {"category"}),
        ({"urgency": {}}, {"urgency"}),
        ({"title": "", "category": 1, "urgency": None}, {"title", "category", "urgency"}),
    ],
)
def test_what_cannot_be_taken_is_named(
    caller: Caller, owner: User, nothing_written: Block, given: dict[str, Any], fields: set[str]
) -> None:
    body = ({"title": "Groceries"} | given) if given else {}
    with nothing_written():
        answer = caller(owner).post(LIST, body, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert set(answer.json()["error"]["fields"]) <= fields
    assert answer.json()["error"]["fields"]


def test_nobody_asks_in_another_members_name_or_before_approval(
    caller: Caller, owner: User, outsider: User, nothing_written: Block
) -> None:
    with nothing_written():
        forged = caller(owner).post(LIST, {"title": "Money", "user_id": str(outsider.pk)}, format="json")
    User.objects.filter(pk=owner.pk).update(verification_status="pending")
    with nothing_written():
        waiting = caller(owner).post(LIST, {"title": "Groceries"}, format="json")
    assert [answer.status_code for answer in (forged, waiting)] == [403, 403]
    assert [answer.json()["error"]["code"] for answer in (forged, waiting)] == ["permission_denied"] * 2


def test_the_list_is_newest_first_and_narrowed_by_its_filters(caller: Caller, helper: User, help_request: Make) -> None:
    hour = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(3)]
    lift = help_request(title="A lift to town", category="transportation-errands", urgency="urgent", created_at=hour[0])
    milk = help_request(title="Milk", description="and a lift to the shop", created_at=hour[1])
    done = help_request(title="Done", status="completed", created_at=hour[2])
    client = caller(helper)

    def found(**filters: str) -> list[str]:
        return [row["id"] for row in client.get(LIST, filters).json()["results"]]

    assert found() == [str(done.pk), str(milk.pk), str(lift.pk)]
    assert found(status="open") == [str(milk.pk), str(lift.pk)]
    assert found(category="transportation-errands", urgency="urgent") == [str(lift.pk)]
    assert found(q="LIFT") == [str(milk.pk), str(lift.pk)]
    assert found(q="100%") == []
    assert found(q="li\u0301ft") == [str(milk.pk), str(lift.pk)]
    unsearchable = client.get(f"{LIST}?q=a%00b")
    assert (unsearchable.status_code, unsearchable.json()["error"]["code"]) == (400, "validation_error")
    assert "character" in unsearchable.json()["error"]["fields"]["q"][0]
    for name in ("status", "category", "urgency"):
        answer = client.get(LIST, {name: "unknown"})
        assert (answer.status_code, set(answer.json()["error"]["fields"])) == (400, {name})


def test_pages_keep_their_filters(
    caller: Caller, helper: User, owner: User, help_request: Make, statements: Block
) -> None:
    for number in range(23):
        help_request(user=owner, status="open" if number else "closed")
    client = caller(helper)
    with statements() as made:
        first = client.get(LIST, {"status": "open"}).json()
    assert len(made) == 2
    assert (len(first["results"]), first["previous"]) == (20, None)
    second = client.get(first["next"]).json()
    assert {row["status"] for row in second["results"]} == {"open"}
    assert (len(second["results"]), second["next"]) == (2, None)
    assert client.get(second["previous"]).json()["results"] == first["results"]


def test_one_request_is_shown_to_every_member(caller: Caller, outsider: User, groceries: HelpRequest) -> None:
    body = caller(outsider).get(f"{LIST}/{groceries.pk}").json()
    assert set(body) == {"id", "title", "description", "category", "urgency", "status", "created_at", "owner"}
    answer = caller(outsider).get(f"{LIST}/{uuid4()}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "help_request_not_found")
