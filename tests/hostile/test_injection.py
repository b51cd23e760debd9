"""What is typed stays what it is: no header, no log line, no method, no column and no markup of its own."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from carecollective.help_requests.models import HelpRequest
from carecollective.observability.logging import configuration
from tests.access.world import World

HELLO = "Hello, I can help with this"
LINE = 'ada\n{"event": "success", "log_level": "info", "forged": true}\r\n\x1b[2J2030-01-01 forged'


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "GET"])
def test_a_header_makes_no_other_method(world: World, api_client: Any, name: str, method: str) -> None:
    client = api_client(world.helper)
    place = "/api/messaging/conversations"
    answer = client.post(place, {"_method": method}, format="json", headers={name: method})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    read = client.get(f"{place}/{world.conversation}?_method=POST", headers={name: "POST"})
    assert read.status_code == 200


@pytest.mark.parametrize("field", ["_method", "_method_override", "method"])
def test_a_field_makes_no_other_method(world: World, signed_in: Any, field: str) -> None:
    signed_in(world.owner).get(f"/requests/{world.help_request.pk}/cancel", {field: "POST"})
    world.help_request.refresh_from_db()
    assert world.help_request.status == "open"


def test_nothing_is_changed_by_a_get_or_a_head(world: World, signed_in: Any) -> None:
    """A link followed in advance, by a browser or a mail scanner, does nothing."""
    browser = signed_in(world.owner)
    before = list(HelpRequest.objects.order_by("pk").values())
    for action in ("complete", "cancel", "reopen"):
        browser.get(f"/requests/{world.help_request.pk}/{action}")
        browser.head(f"/requests/{world.help_request.pk}/{action}")
    browser.get("/logout")
    assert browser.get("/account").status_code == 200
    assert list(HelpRequest.objects.order_by("pk").values()) == before


EXTRA = {
    "id": "00000000-0000-4000-8000-000000000001",
    "pk": "00000000-0000-4000-8000-000000000001",
    "is_staff": "true",
    "is_admin": "true",
    "is_superuser": "true",
    "is_active": "true",
    "verification_status": "approved",
    "approved_at": "2020-01-01T00:00:00Z",
    "groups": "1",
    "user_permissions": "1",
    "last_login": "2020-01-01",
    "created_at": "2020-01-01T00:00:00Z",
    "updated_at": "2020-01-01T00:00:00Z",
    "expires_at": "2099-01-01T00:00:00Z",
    "status": "completed",
    "helper": "x",
    "version": "v1",
    "stage": "enabled",
    "__class__": "x",
}


def test_who_joins_gets_no_more_than_they_may_ask_for(world: World) -> None:
    given = {"name": "Mallory", "email": "mallory@example.org", "password": "a long enough password"}
    assert Client().post("/signup", given | EXTRA).status_code == 302
    made = type(world.owner).objects.get(email="mallory@example.org")
    assert (made.is_staff, made.is_superuser, made.is_approved) == (False, False, False)
    assert made.approved_at is None
    assert str(made.pk) != EXTRA["id"]
    assert not made.groups.exists()


def test_a_profile_takes_name_and_town_only(world: World, signed_in: Any) -> None:
    before = type(world.waiting).objects.filter(pk=world.waiting.pk).values().get()
    given = {"name": "Paula P.", "location": "York", "email": "owner@example.org", "password": "x"}
    signed_in(world.waiting).post("/account", EXTRA | given)
    signed_in(world.waiting).post("/account", EXTRA | {"form": "preferences", "user": world.owner.pk})
    after = type(world.waiting).objects.filter(pk=world.waiting.pk).values().get()
    assert after | {"updated_at": 0, "last_login": 0} == before | {
        "name": "Paula P.",
        "location": "York",
        "updated_at": 0,
        "last_login": 0,
    }


@pytest.mark.parametrize("door", ["page", "api"])
def test_a_request_takes_what_it_is_about_only(world: World, signed_in: Any, api_client: Any, door: str) -> None:
    good = {"title": "Mine", "description": "Really", "category": "other", "urgency": "normal"}
    if door == "page":
        signed_in(world.stranger).post(
            "/requests/new", EXTRA | good | {"user": world.owner.pk, "owner": world.owner.pk}
        )
    else:
        api_client(world.stranger).post(
            "/api/help-requests", EXTRA | good | {"owner": str(world.owner.pk)}, format="json"
        )
    made = HelpRequest.objects.get(title="Mine")
    assert (made.user_id, made.status) == (world.stranger.pk, "open")
    assert str(made.pk) != EXTRA["id"]
    assert made.created_at.year > 2020


@pytest.mark.parametrize("name", ["helper_id", "requester_id", "sender_id", "user_id"])
def test_a_call_that_names_another_is_refused_and_writes_nothing(
    world: World, api_client: Any, beyond_policies: Any, name: str
) -> None:
    def stored() -> Any:
        with beyond_policies() as cursor:
            cursor.execute("SELECT (SELECT count(*) FROM conversations_v2), (SELECT count(*) FROM messages_v2)")
            return cursor.fetchone()

    before = stored()
    client = api_client(world.helper)
    for place, body in (
        (f"/api/messaging/help-requests/{world.untouched.pk}/start-conversation", {"initial_message": HELLO}),
        (f"/api/messaging/conversations/{world.conversation}/messages", {"content": HELLO}),
        (f"/api/messaging/conversations/{world.conversation}/read", {}),
    ):
        hostile: tuple[Any, ...] = (str(world.stranger.pk), str(uuid4()), "", 0, [], {"$ne": 1}, True)
        for named in hostile:
            answer = client.post(place, body | {name: named}, format="json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied"), named
    assert stored() == before


@pytest.fixture
def logged() -> Iterator[Callable[[], list[str]]]:
    """What the site's own formatter makes of every record of the test."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    made = logging.config.DictConfigurator(configuration())  # type: ignore[attr-defined]
    name, described = next(iter(made.config["formatters"].items()))
    handler.setFormatter(made.configure_formatter(described))
    assert name
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: stream.getvalue().splitlines()
    root.removeHandler(handler)


def test_nobody_writes_a_log_line_of_their_own(world: World, logged: Callable[[], list[str]]) -> None:
    browser = Client(raise_request_exception=False, enforce_csrf_checks=True)
    browser.post("/login", {"email": LINE, "password": LINE}, headers={"X-Request-ID": LINE, "User-Agent": LINE})
    browser.get("/no/such/place", {"q": LINE}, headers={"Referer": LINE})
    browser.get("/help", headers={"Host": LINE})
    logging.getLogger("carecollective").warning("%s", LINE)
    lines = logged()
    assert lines
    for line in lines:
        said = json.loads(line)
        assert "forged" not in said
        assert "\x1b" not in line


def test_markup_that_is_typed_is_text_on_every_page(world: World, signed_in: Any) -> None:
    markup = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    signed_in(world.stranger).post("/account", {"name": markup, "location": markup})
    signed_in(world.stranger).post("/requests/new", {"title": markup, "description": markup * 3, "category": "other"})
    made = HelpRequest.objects.get(user=world.stranger)
    signed_in(world.helper).post(f"/requests/{made.pk}", {"initial_message": markup})
    for person in (world.helper, world.stranger, world.superuser):
        for path in ("/requests", f"/requests/{made.pk}", "/messages", "/account", "/admin/accounts/user/"):
            page = signed_in(person).get(path).content.decode()
            assert "<script>alert" not in page
            assert "<img src=x" not in page


def test_a_hostile_pattern_is_searched_as_it_stands(world: World, api_client: Any) -> None:
    client = api_client(world.helper)
    for text in ("%", "_", "\\", "%%%%", "' OR 1=1 --", "Groc%s"):
        assert client.get("/api/help-requests", {"q": text}).json()["results"] == []
    assert len(client.get("/api/help-requests", {"q": "groc"}).json()["results"]) == 1
    assert connection.is_usable()


@pytest.mark.parametrize("door", ["page", "api"])
def test_each_limit_says_when_to_come_back_and_is_one_for_both_doors(
    world: World, signed_in: Any, api_client: Any, settings: Any, door: str
) -> None:
    settings.MESSAGES_PER_MINUTE = 3
    browser, program = signed_in(world.helper), api_client(world.helper)
    page, call = f"/messages/{world.conversation}", f"/api/messaging/conversations/{world.conversation}/messages"
    for _ in range(3):
        assert browser.post(page, {"message": HELLO}).status_code == 302 if door == "page" else True
        assert program.post(call, {"content": HELLO}, format="json").status_code == 201 if door == "api" else True
    for answer in (browser.post(page, {"message": HELLO}), program.post(call, {"content": HELLO}, format="json")):
        assert answer.status_code == 429
        assert 1 <= int(answer["Retry-After"]) <= 60
