"""Who acts is who is signed in: read out of the code of every page and call, so that a new one cannot take a name from its body."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests import databases
from tests.access.addresses import addresses

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
OTHER_NAMES = {"user_id", "member_id"}
# What may stand there in a page or call: the request's own member, under the names that these modules give it.
SIGNED_IN = {
    "request.user",
    "member_of(request)",
    "signed_in_member(request)",
    "cast('User', request.user)",
    "actor",
    "member",
    "staff",
    "reader",
}
# The contact page is for visitors too; signing in makes the member, and Django's `get_user` reads it out of the session; staff
# choose one in the admin's list, and act as themselves.
MADE_OTHERWISE = ("_writer(request)", "get_user(request)", "None if too_long else authenticate(", "chosen[0]")
# What says something about a member, and does nothing for them.
ABOUT_A_MEMBER = {"fingerprint_of", "_name_of"}
# What is handed on whole: the times to be quiet, a link with its account, and what a wrapper was called with.
HANDED_ON = {"preferences_form.cleaned_data", "link", "kwargs", "options"}
# Where a person's name stands as a word, beside the keys of what is shown.
WORDS = {
    "carecollective/web/api.py": "refuses a body that names anybody but who sends it",
    "carecollective/contact/admin.py": "names the fields of a page",
    "carecollective/help_requests/admin.py": "names the columns of a list",
}
SOURCES = sorted(
    path
    for folder in ("carecollective", "rollout", "messaging_v1", "messaging_v2")
    for path in (databases.ROOT / folder).rglob("*.py")
)
MODULES = [
    path for path in SOURCES if path.stem in ("views", "api", "admin", "pages", "control_room", "control_room_forms")
]


def places_of_people(tree: ast.Module) -> dict[str, set[tuple[int, str]]]:
    """Return, for each function that takes a person by place, which places those are, and what it calls them."""
    found: dict[str, set[tuple[int, str]]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            names = names[1:] if names[:1] in (["self"], ["cls"]) else names
            found[node.name] = {(place, name) for place, name in enumerate(names) if name in PEOPLE}
    return found


@cache
def anybodys() -> Mapping[str, set[tuple[int, str]]]:
    """Return the same of everything that one module may call of another's."""
    found: dict[str, set[tuple[int, str]]] = {}
    for path in SOURCES:
        for name, places in places_of_people(ast.parse(path.read_text())).items():
            if not name.startswith("_"):
                found[name] = found.get(name, set()) | places
    return found


def people_named(source: str) -> Iterator[tuple[int, str, str]]:
    """Return every call's argument that says who acts, by name or by place: its line, its name, what stands there."""
    tree = ast.parse(source)
    known = {**anybodys(), **places_of_people(tree)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg in PEOPLE and not isinstance(keyword.value, ast.Constant):
                yield node.lineno, keyword.arg, ast.unparse(keyword.value)
            if keyword.arg is None and ast.unparse(keyword.value) not in HANDED_ON:
                yield node.lineno, "**", ast.unparse(keyword.value)
        called = ast.unparse(node.func).rpartition(".")[2]
        for place, name in known.get(called, ()):
            if place < len(node.args) and called not in ABOUT_A_MEMBER:
                yield node.lineno, name, ast.unparse(node.args[place])


def people_read(source: str) -> Iterator[tuple[int, str]]:
    """Return every word that a person could be read by, out of whatever was sent; what is shown may be called so."""
    tree = ast.parse(source)
    shown = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in PEOPLE | OTHER_NAMES and id(node) not in shown:
            yield node.lineno, str(node.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(databases.ROOT)))
def test_every_service_is_told_who_acts_by_the_session_or_the_token(path: Path) -> None:
    others = [named for named in people_named(path.read_text()) if named[2] not in SIGNED_IN]
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(databases.ROOT)))
def test_no_page_or_call_reads_a_person_out_of_what_it_was_sent(path: Path) -> None:
    read = list(people_read(path.read_text()))
    if str(path.relative_to(databases.ROOT)) in WORDS:
        assert read, "an exception that nothing needs any more"
    else:
        assert not read


def test_no_address_names_a_person() -> None:
    assert not [one.route for one in addresses() if {*one.parameters} & (PEOPLE | OTHER_NAMES)]


@pytest.mark.parametrize(
    "source",
    [
        "send_message(actor=request.user, sender_id=given['sender'])",
        "acting_as(User.objects.get(pk=request.POST['who']))",
        "Conversation.objects.visible_to(chosen)",
        "def _close(actor, key): ...\n_close(found, key)",
        "send_message(**given)",
    ],
)
def test_the_reading_sees_each_way_to_say_who_acts(source: str) -> None:
    assert [named for named in people_named(source) if named[2] not in SIGNED_IN]


@pytest.mark.parametrize(
    "source",
    [
        "request.POST['sender_id']",
        "request.data.get('helper_id')",
        "form.raw('actor')",
        "form.cleaned_data.pop('member', None)",
        "request.GET.getlist('user_id')",
        "for name in ('helper_id', 'requester_id'): given[name]",
    ],
)
def test_the_reading_sees_each_way_to_read_a_person(source: str) -> None:
    assert list(people_read(source))


def test_the_reading_sees_the_calls_that_matter() -> None:
    named = {name for path in MODULES for _line, name, _value in people_named(path.read_text())}
    calls = sum(len(list(people_named(path.read_text()))) for path in MODULES)
    assert {"actor", "reader"} <= named
    assert calls >= 25
