"""Who acts is who is signed in: read out of the code of every page and call, so that a new one cannot take a name from its body."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases

# What a service calls the person on whose behalf it works.
PEOPLE = {
    "actor",
    "reader",
    "owner",
    "member",
    "user",
    "sender_id",
    "helper_id",
    "reader_id",
    "requester_id",
    "actor_id",
}
# What may stand there in a page or call: the request's own member, under the names that these modules give it.
SIGNED_IN = {
    "request.user",
    "member_of(request)",
    "_reader(request)",
    "_staff(request)",
    "cast('User', request.user)",
    "actor",
    "member",
    "staff",
    "reader",
}
# Signing in and joining make the member; staff choose one in the admin's list, and act as themselves.
MADE_OTHERWISE = ("None if too_long else authenticate(", "services.sign_up(", "chosen[0]")
MODULES = sorted(
    path
    for folder in ("carecollective", "rollout", "messaging_v1", "messaging_v2")
    for path in (databases.ROOT / folder).rglob("*.py")
    if path.stem in ("views", "api", "admin", "pages", "control_room", "control_room_forms")
)


def people_named(path: Path) -> Iterator[tuple[int, str, str]]:
    """Return every call's argument that says who acts: its line, its name, what stands there."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in PEOPLE and not isinstance(keyword.value, ast.Constant):
                    yield node.lineno, keyword.arg, ast.unparse(keyword.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(databases.ROOT)))
def test_every_service_is_told_who_acts_by_the_session_or_the_token(path: Path) -> None:
    others = [named for named in people_named(path) if named[2] not in SIGNED_IN]
    assert not others


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(databases.ROOT)))
def test_no_page_or_call_makes_a_member_of_what_it_was_sent(path: Path) -> None:
    """The names above hold the request's own member: nothing else is ever put into them."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            named = {ast.unparse(target) for target in node.targets}
            if named & (SIGNED_IN | {"request.user"}):
                made = ast.unparse(node.value)
                assert made in SIGNED_IN or made.startswith(MADE_OTHERWISE), (node.lineno, ast.unparse(node))
        # The short names for the request's member, written once in each module that has them.
        if isinstance(node, ast.FunctionDef) and f"{node.name}(request)" in SIGNED_IN - {"member_of(request)"}:
            assert ast.unparse(node.body[-1]) == "return cast('User', request.user)", node.lineno
        # Reading a person out of a body or an address: by any of the names that a service knows one by.
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "typed"):
            for argument in node.args[:1]:
                is_person = isinstance(argument, ast.Constant) and argument.value in PEOPLE | {"user_id"}
                assert not is_person, (node.lineno, ast.unparse(node))


def test_the_reading_sees_the_calls_that_matter() -> None:
    named = {name for path in MODULES for _line, name, _value in people_named(path)}
    calls = sum(len(list(people_named(path))) for path in MODULES)
    assert {"actor", "reader"} <= named
    assert calls >= 25
