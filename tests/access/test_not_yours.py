"""What is not yours answers as what does not exist: the same status, body, statements and time."""

import re
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.access.world import World

HELLO = {"content": "Hello, it is me", "initial_message": "Hello, I can help", "message": "Hello, it is me"}
CALLS = [
    ("GET", "/api/messaging/conversations/{conversation}"),
    ("GET", "/api/messaging/conversations/{conversation}/messages"),
    ("POST", "/api/messaging/conversations/{conversation}/messages"),
    ("POST", "/api/messaging/conversations/{conversation}/read"),
    ("GET", "/messages/{conversation}"),
    ("POST", "/messages/{conversation}"),
    ("POST", "/messages/{conversation}/continue"),
    ("POST", "/messages/{conversation}/ask"),
    ("POST", "/messages/{conversation}/close"),
    ("POST", "/messages/{conversation}/reopen"),
    ("GET", "/messages/{conversation}/report"),
    ("POST", "/requests/{help_request}/complete"),
    ("POST", "/requests/{help_request}/cancel"),
    ("POST", "/requests/{help_request}/reopen"),
]

Ask = Callable[..., Any]


@pytest.fixture
def ask(world: World, signed_in: Any) -> Ask:
    browser = signed_in(world.stranger)
    browser.raise_request_exception = False

    def send(method: str, path: str) -> Any:
        body = {"content_type": "application/json"} if path.startswith("/api/") else {}
        with transaction.atomic():
            answer = browser.get(path) if method == "GET" else browser.post(path, HELLO, **body)
            transaction.set_rollback(True)
        return answer

    return send


def spell(place: str, conversation: UUID, help_request: UUID) -> str:
    return place.format(conversation=conversation, help_request=help_request)


def without_ids(text: str) -> str:
    """Leave out what differs between any two answers: the request's id, the address itself and the form's secret."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b", "-", text)
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "-", text)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(("method", "place"), CALLS)
def test_it_answers_alike_in_word_and_deed(world: World, ask: Ask, method: str, place: str, version: str) -> None:
    conversation = world.conversation if version == "v2" else world.legacy
    found = []
    ask(method, spell(place, uuid4(), uuid4()))
    for path in (spell(place, conversation, world.help_request.pk), spell(place, uuid4(), uuid4())):
        with CaptureQueriesContext(connection) as made:
            answer = ask(method, path)
        headers = {name: value for name, value in answer.items() if name not in ("X-Request-ID", "Set-Cookie")}
        # What is asked, whatever the values: savepoints are numbered, and times and keys differ.
        statements = [re.sub(r"'[^']*'|\"s\d+_x\d+\"", "-", query["sql"]) for query in made]
        found.append((answer.status_code, headers, without_ids(answer.content.decode()), statements))
    theirs, nobodys = found
    assert theirs[0] == nobodys[0] == 404
    assert theirs[1:3] == nobodys[1:3]
    assert theirs[3] == nobodys[3]


@pytest.mark.parametrize(("method", "place"), [CALLS[0], CALLS[2], CALLS[11]])
def test_it_answers_within_the_noise_of_the_clock(world: World, ask: Ask, method: str, place: str) -> None:
    """Asked in turns: what disturbs the machine meanwhile disturbs both alike."""
    kinds = {
        "theirs": lambda: spell(place, world.conversation, world.help_request.pk),
        "nobody's": lambda: spell(place, uuid4(), uuid4()),
        "nobody's either": lambda: spell(place, uuid4(), uuid4()),
    }
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
    assert abs(middle["theirs"] - middle["nobody's"]) <= 2 * noise, (middle, noise)
