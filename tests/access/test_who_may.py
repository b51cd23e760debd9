"""Every page and call, for everybody: the URL configuration asks, the table answers."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone

from carecollective.contact.models import ContactMessage
from carecollective.moderation.services import report_message
from tests.access.addresses import Address, addresses
from tests.access.table import ADMIN, AWAY, LOGIN, MODELS, PEOPLE, SITE, STAFF, VIEWS, Row
from tests.access.world import SECRETS, World
from tests.roles import as_role
from tests.sessions import give_session

Call = tuple[str, Address]


def spelled_in_the_table(address: Address) -> str:
    """Name once what the admin has for each app or model alike, and its answer to any other address."""
    if address.name == "app_list":
        return "admin/<app>/"
    if address.name or not address.is_admin:
        return address.route
    return "admin/<model>/<path:object_id>/" if address.parameters == ("object_id",) else "admin/<anything else>"


def path_of(address: Address, values: dict[str, Any]) -> str:
    """Spell out what is no regular expression, and one address for each that is."""
    patterns = {"admin/<app>/": "/admin/accounts/", "admin/<anything else>": "/admin/nothing/at/all"}
    return patterns.get(spelled_in_the_table(address)) or address.path(values)


def model_of(address: Address) -> tuple[str, str] | None:
    """Return the admin's model and the view of it, for an address that is one of the five that each model has."""
    model, _, view = address.name.rpartition("_")
    is_shown = model in {f"{shown._meta.app_label}_{shown._meta.model_name}" for shown in admin.site._registry}
    return (model, view) if address.is_admin and is_shown and view in VIEWS else None


def site_calls() -> Iterator[Call]:
    for address in addresses():
        if not address.is_admin:
            yield from ((method, address) for method in sorted(address.methods - {"OPTIONS"}))


def admin_calls() -> Iterator[Call]:
    """All but the pages of its models; what is sent to its forms is left to tests of their own."""
    for address in addresses():
        if address.is_admin and model_of(address) is None:
            yield "GET", address
            if address.name in (
                "applicants",
                "rollout_acceptance",
                "rollout_control_room",
                "auth_user_password_change",
            ):
                yield "POST", address


def name_of(call: Call) -> str:
    return f"{call[0]} /{call[1].route}"


def answer_to(world: World, person: str, method: str, path: str, row: Row) -> Any:
    client = Client(raise_request_exception=False)
    if person != "anyone":
        give_session(client, getattr(world, person))
    is_api = path.startswith("/api/")
    content_type = "application/json" if is_api else MULTIPART_CONTENT
    body = json.dumps(row.body) if is_api else encode_multipart(BOUNDARY, row.body)
    with transaction.atomic():
        answer = client.generic(method, path, body, content_type=content_type)
        transaction.set_rollback(True)
    return answer


def kind_of(answer: Any) -> int | str:
    if answer.status_code not in (301, 302):
        return int(answer.status_code)
    place = answer["Location"]
    return LOGIN if place.startswith("/login") else STAFF if place.startswith("/admin/login/") else AWAY


def values_of(world: World, address: Address, method: str) -> dict[str, Any]:
    is_start = "start-conversation" in address.route or (method == "POST" and address.name == "request-detail")
    return {
        "help_request_id": (world.untouched if is_start else world.help_request).pk,
        "conversation_id": world.conversation,
        "content_type_id": ContentType.objects.get_for_model(type(world.owner)).pk,
        "object_id": world.helper.pk,
        "id": world.helper.pk,
    }


def hold(world: World, method: str, address: Address, path: str, row: Row) -> None:
    found = tuple(kind_of(answer_to(world, person, method, path, row)) for person in PEOPLE)
    differing = {who: (is_, said) for who, is_, said in zip(PEOPLE, found, row.answers, strict=True) if is_ != said}
    assert not differing, f"{method} {path}: (answer, table) {differing}"


@pytest.mark.parametrize("call", list(site_calls()), ids=name_of)
def test_each_address_answers_each_person_as_the_table_says(world: World, call: Call) -> None:
    method, address = call
    row = SITE.get((method, address.route))
    assert row, f"{method} /{address.route} has no row in tests/access/table.py: say who may"
    values = values_of(world, address, method)
    values |= {name: uuid4() for name in address.parameters if name not in values}
    hold(world, method, address, address.path(values), row)


@pytest.mark.parametrize("call", list(admin_calls()), ids=name_of)
def test_the_admin_answers_each_person_as_the_table_says(world: World, call: Call) -> None:
    method, address = call
    row = ADMIN.get((method, spelled_in_the_table(address)))
    assert row, f"{method} /{address.route} has no row in tests/access/table.py: say who may"
    hold(world, method, address, path_of(address, values_of(world, address, method)), row)


def models_shown() -> list[str]:
    return sorted({found[0] for address in addresses() if (found := model_of(address))})


@pytest.mark.parametrize("model", models_shown())
def test_staff_may_do_to_each_model_what_the_table_says(world: World, model: str) -> None:
    assert model in MODELS, f"{model} has no row in tests/access/table.py: say who may"
    row = row_of(world, model)
    for view, staff, superuser in zip(VIEWS, *MODELS[model], strict=True):
        found = next(address for address in addresses() if address.name == f"{model}_{view}")
        path = found.path({"object_id": row})
        answers = (STAFF,) * 5 + (staff, superuser)
        hold(world, "GET", found, path, Row(answers))


def row_of(world: World, model: str) -> Any:
    """Return the key of some row of the model. What the world begins without is made here: no page goes untried."""
    shown = apps.get_model(model[::-1].replace("_", ".", 1)[::-1])._default_manager
    failed = {"username": "a@example.org", "ip_address": "::1", "attempt_time": timezone.now()}
    match model:
        case "axes_accessattempt":
            found = shown.create(**failed, failures_since_start=1)
        case "axes_accessfailurelog" | "axes_accesslog":
            with as_role("owner"):  # nothing of the site's writes these
                found = shown.create(**failed)
        case "mail_outgoingmail":
            found = shown.create(recipient=world.owner, kind="password_link", state="dead")
        case "moderation_report":
            found = report_message(
                actor=world.owner, conversation_id=world.conversation, message_id=None, reason="other", words="Look"
            )
        case "contact_contactmessage":
            found = ContactMessage(name="Zoë", email="zoe@example.org", text="Hello")
            shown.bulk_create([found])
        case _:
            found = shown.first()
    assert found is not None, f"{model} has no row to try its pages with"
    return found.pk


def test_the_table_names_no_address_that_is_gone() -> None:
    assert set(SITE) <= {(method, address.route) for method, address in site_calls()}
    assert set(ADMIN) <= {(method, spelled_in_the_table(address)) for method, address in admin_calls()}
    assert set(MODELS) <= set(models_shown())


def test_no_page_answers_a_post_with_what_a_reload_would_do_again() -> None:
    """What was done is shown by the page that the answer leads to. These do nothing, whatever is sent to them."""
    answering = {route for (method, route), row in SITE.items() if method == "POST" and 200 in row.answers}
    assert answering == {
        "help",
        "requests",
        "my/requests",
        "my/offers",
        "messages",
        "messages/latest",
        "messages/<uuid:conversation_id>/latest",
        "account/erased",
    }


def test_staff_lists_show_no_conversations_tokens_or_sessions() -> None:
    private = ("conversation", "message", "token", "session", "notification", "readpointer", "reportaccess")
    # What was written to staff themselves.
    shown = set(models_shown()) - {"contact_contactmessage"}
    assert not [model for model in shown if any(word in model for word in private)]


@pytest.mark.parametrize("person", ["anyone", "waiting", "stranger", "staff", "superuser"])
def test_no_address_tells_anybody_else_what_two_people_said(world: World, person: str) -> None:
    client = Client(raise_request_exception=False)
    if person != "anyone":
        give_session(client, getattr(world, person))
    for address in addresses():
        for conversation in (world.conversation, world.legacy):
            values = values_of(world, address, "GET") | {"conversation_id": conversation}
            values |= {name: uuid4() for name in address.parameters if name not in values}
            if "(?P<" in address.route or (not address.parameters and conversation == world.legacy):
                continue
            answer = client.get(address.path(values))
            body = b"" if answer.streaming else answer.content
            assert not [secret for secret in SECRETS if secret.encode() in body], address.route


def test_the_two_who_talk_read_it(world: World, signed_in: Any) -> None:
    """And so the test above would see it."""
    for member in (world.helper, world.owner):
        pages = [
            signed_in(member).get(f"/messages/{key}").content.decode() for key in (world.conversation, world.legacy)
        ]
        assert all(secret in "".join(pages) for secret in SECRETS)
