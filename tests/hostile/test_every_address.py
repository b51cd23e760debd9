"""The corpus over every address of the URL configuration: 0 answers of 500, each refusal in its shape."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.contenttypes.models import ContentType

from carecollective.accounts.models import User
from carecollective.mail.topics import Topic, make_preferences_link
from tests.access.addresses import Address, addresses
from tests.access.world import World
from tests.hostile import corpus
from tests.hostile.judge import Caller, Judge

Share = Callable[[Iterable[Any], int], list[Any]]

# What answers a regular expression: an app of the admin's, and any address that it does not have.
SPELLED = {"admin/^(?P<app_label>": "/admin/accounts/", "admin/(?P<url>": "/admin/nothing/at/all"}


def places(world: World, *, is_admin: bool) -> Iterator[tuple[Address, str]]:
    """Spell each address out for this community."""
    values: dict[str, Any] = {
        "help_request_id": world.help_request.pk,
        "conversation_id": world.conversation,
        "content_type_id": ContentType.objects.get_for_model(User).pk,
        "object_id": world.helper.pk,
        "id": world.helper.pk,
        "preferences_token": make_preferences_link(world.owner.pk, Topic.REPORTS).rpartition("/")[2],
    }
    for address in addresses():
        if address.is_admin is is_admin:
            spelled = next((path for start, path in SPELLED.items() if address.route.startswith(start)), None)
            yield (
                address,
                spelled or address.path(values | {name: uuid4() for name in address.parameters if name not in values}),
            )


def who(world: World, name: str) -> Caller:
    return Caller(getattr(world, name) if name != "anyone" else None)


@pytest.mark.parametrize("is_admin", [False, True], ids=["site", "admin"])
def test_no_query_is_our_fault(world: World, judge: Judge, share: Share, is_admin: bool) -> None:
    caller = who(world, "superuser" if is_admin else "owner")
    for address, path in places(world, is_admin=is_admin):
        # One row's page in the admin reads next to nothing from its query.
        for query in share(corpus.QUERIES, 36 if is_admin and address.parameters else 16):
            judge.look_at(caller.ask("GET", path, query=query), f"GET {path}?{query[:90]}", is_api=address.is_api)
    judge.decide()


@pytest.mark.parametrize("is_admin", [False, True], ids=["site", "admin"])
def test_no_id_is_our_fault(world: World, judge: Judge, share: Share, is_admin: bool) -> None:
    caller = who(world, "superuser" if is_admin else "helper")
    for address in addresses():
        if address.is_admin is not is_admin or not address.parameters or "(?P<" in address.route:
            continue
        for text in share(corpus.IDS, 18 if is_admin else 6):
            path = "/" + text.join(re.split(r"<[^>]*>", address.route))
            for method in ("GET", "POST"):
                judge.look_at(
                    caller.ask(method, path, b"{}", content_type="application/json"),
                    f"{method} {path[:120]}",
                    is_api=address.is_api,
                )
    judge.decide()


def test_no_header_is_our_fault(world: World, judge: Judge, share: Share) -> None:
    caller = who(world, "owner")
    for address, path in places(world, is_admin=False):
        for name, headers in share(corpus.HEADERS.items(), 14):
            for method in sorted(address.methods) if address.is_api else ("GET",):
                answer = caller.ask(method, path, b"{}", content_type="application/json", headers=headers)
                judge.look_at(answer, f"{method} {path} with {name}", is_api=address.is_api)
    judge.decide()


@pytest.mark.parametrize("is_admin", [False, True], ids=["site", "admin"])
def test_no_method_is_our_fault(world: World, judge: Judge, share: Share, is_admin: bool) -> None:
    caller = who(world, "superuser" if is_admin else "owner")
    for address, path in places(world, is_admin=is_admin):
        for method in share(corpus.METHODS, 6):
            judge.look_at(caller.ask(method, path), f"{method} {path}", is_api=address.is_api)
    judge.decide()


@pytest.mark.parametrize("is_admin", [False, True], ids=["site", "admin"])
def test_no_kind_of_body_is_our_fault(world: World, judge: Judge, share: Share, is_admin: bool) -> None:
    caller = who(world, "superuser" if is_admin else "owner")
    bodies = corpus.whole_bodies({"content": "Hello, I can help", "initial_message": "Hello, I can help"})
    kinds = [(body, "application/json") for body in bodies.values()]
    kinds += [(body, "application/x-www-form-urlencoded") for body in bodies.values()]
    kinds += [(b'{"content": "Hello, I can help"}', kind) for kind in corpus.CONTENT_TYPES]
    kinds += [(b"--a\r\nContent-Disposition: form-data; name=\xff\r\n\r\n", "multipart/form-data; boundary=a")]
    kinds += [(b"&".join([b"a=1"] * 5000), "application/x-www-form-urlencoded")]
    for address, path in places(world, is_admin=is_admin):
        for body, content_type in share(kinds, 32 if is_admin else 16):
            answer = caller.ask("POST", path, body, content_type=content_type)
            judge.look_at(answer, f"POST {path} {body[:40]!r} as {content_type[:60]!r}", is_api=address.is_api)
    judge.decide()
