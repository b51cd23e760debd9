"""What is not yours answers as what does not exist: the same status, body, statements and time."""

import re
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from carecollective.accounts.sign_in.sessions import list_sessions
from carecollective.accounts.sign_in.tokens import list_tokens
from carecollective.privacy.exports import prepare_waiting, request_export
from carecollective.safety.selectors import list_blocked
from carecollective.safety.services import block_member
from tests.access.addresses import Address, addresses
from tests.access.table import AWAY, PEOPLE, SITE
from tests.access.world import World

HELLO = {
    "content": "Hello, it is me",
    "initial_message": "Hello, I can help",
    # What is said in a thread, and which message a report is about.
    "message": str(uuid4()),
    "reason": "other",
    "words": "Please look",
}
# Whoever is signed in sees every request, and may offer help with it.
EVERYBODYS = {
    # Whoever holds the link from the mail.
    "GET mail/<str:preferences_token>",
    "POST mail/<str:preferences_token>",
    "GET requests/<uuid:help_request_id>",
    "POST requests/<uuid:help_request_id>",
    "GET requests/<uuid:help_request_id>/report",
    "POST requests/<uuid:help_request_id>/report",
    "GET api/help-requests/<str:help_request_id>",
    "POST api/messaging/help-requests/<str:help_request_id>/start-conversation",
}
# The wait is measured where a page, a call and a change are each about somebody else's.
MEASURED = {
    "GET api/messaging/conversations/<str:conversation_id>",
    "POST api/messaging/conversations/<str:conversation_id>/messages",
    "POST requests/<uuid:help_request_id>/complete",
}

Call = tuple[str, Address]
Ask = Callable[..., Any]


@pytest.fixture
def ask(world: World, signed_in: Any) -> Ask:
    browser = signed_in(world.stranger)
    browser.raise_request_exception = False

    def send(method: str, path: str) -> Any:
        body = {"content_type": "application/json"} if path.startswith("/api/") else {}
        with transaction.atomic():
            match method:
                case "GET" | "DELETE":
                    answer = browser.generic(method, path)
                case _:
                    answer = browser.post(path, HELLO, **body)
            transaction.set_rollback(True)
        return answer

    return send


@pytest.fixture
def theirs(world: World) -> Callable[[Address, str], str]:
    """Spell an address out with the ids of what belongs to Olga and Henry. An id of another name is one to think about."""

    def spell(address: Address, version: str) -> str:
        values: dict[str, Any] = {
            "conversation_id": world.legacy if version == "v1" else world.conversation,
            "help_request_id": world.help_request.pk,
        }
        if "export_id" in address.parameters:
            values["export_id"] = request_export(actor=world.owner).pk
            prepare_waiting()
        if "block_id" in address.parameters:
            block_member(actor=world.owner, member_id=world.waiting.pk)
            values["block_id"] = list_blocked(member=world.owner)[0].block_id
        if "session_id" in address.parameters:
            Client().force_login(world.owner)
            values["session_id"] = list_sessions(member=world.owner, current_key=None)[0].id
        if "token_id" in address.parameters:
            AuthToken.objects.create(user=world.owner)
            values["token_id"] = list_tokens(member=world.owner)[0].id
        return address.path(values)

    return spell


def nobodys(address: Address) -> str:
    return address.path({name: uuid4() for name in address.parameters})


def name_of(call: Call) -> str:
    return f"{call[0]} {call[1].route}"


def calls() -> list[Call]:
    """Return every page and call about one thing of somebody's, out of the URL configuration."""
    found = [
        (method, address)
        for address in addresses()
        if address.parameters and not address.is_admin
        for method in sorted(address.methods - {"OPTIONS"})
    ]
    assert {name_of(call) for call in found} >= EVERYBODYS | MEASURED
    return [call for call in found if name_of(call) not in EVERYBODYS]


def without_ids(text: str) -> str:
    """Leave out what differs between any two answers: the request's id, the address itself and the form's secret."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b", "-", text)
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "-", text)


@pytest.mark.parametrize(
    ("call", "version"),
    [
        pytest.param(call, version, id=f"{name_of(call)} {version}")
        for call in calls()
        for version in (("v1", "v2") if "conversation_id" in call[1].parameters else ("v2",))
    ],
)
def test_it_answers_alike_in_word_and_deed(world: World, ask: Ask, theirs: Any, call: Call, version: str) -> None:
    method, address = call
    found = []
    ask(method, nobodys(address))
    for path in (theirs(address, version), nobodys(address)):
        with CaptureQueriesContext(connection) as made:
            answer = ask(method, path)
        headers = {
            name: without_ids(value) for name, value in answer.items() if name not in ("X-Request-ID", "Set-Cookie")
        }
        # What is asked, whatever the values: savepoints are numbered, and times and keys differ.
        statements = [re.sub(r"'[^']*'|\"s\d+_x\d+\"", "-", query["sql"]) for query in made]
        found.append((answer.status_code, headers, without_ids(answer.content.decode()), statements))
    of_theirs, of_nobodys = found
    # A page that only takes what is sent leads back to where that is done, whatever its address holds.
    leads_back = method == "GET" and SITE[method, address.route].answers[PEOPLE.index("stranger")] == AWAY
    assert of_theirs[0] == of_nobodys[0] == (302 if leads_back else 404)
    assert of_theirs[1:3] == of_nobodys[1:3]
    assert of_theirs[3] == of_nobodys[3]


@pytest.mark.parametrize("call", [call for call in calls() if name_of(call) in MEASURED], ids=name_of)
def test_it_answers_within_the_noise_of_the_clock(world: World, ask: Ask, theirs: Any, call: Call) -> None:
    """Asked in turns, up to five times: a statement more shows each time, what disturbs the machine does not."""
    method, address = call
    kinds = {
        "theirs": lambda: theirs(address, "v2"),
        "nobody's": lambda: nobodys(address),
        "nobody's either": lambda: nobodys(address),
    }
    for _attempt in range(5):
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(66):
            for kind in sorted(kinds, key=lambda kind: hash((turn, kind))):
                path = kinds[kind]()
                began = time.perf_counter()
                ask(method, path)
                taken[kind].append(time.perf_counter() - began)
        middle = {kind: median(times[6:]) for kind, times in taken.items()}
        spread = median(abs(one - middle["nobody's"]) for one in taken["nobody's"][6:])
        noise = max(abs(middle["nobody's"] - middle["nobody's either"]), spread)
        if abs(middle["theirs"] - middle["nobody's"]) <= 2 * noise:
            return
    pytest.fail(f"theirs takes another time than nobody's: {middle}, noise {noise}")
