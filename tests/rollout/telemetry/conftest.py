from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from rollout.telemetry import events
from rollout.telemetry.outcomes import Event, Method, Outcome
from rollout.versions import MessagingVersion

Offer = Callable[..., Any]
MakeEvent = Callable[..., Event]
GOOD_OFFER = "I can drive you on Tuesday."


@pytest.fixture(autouse=True)
def in_memory(settings: Any) -> Iterator[None]:
    settings.ROLLOUT_EVENTS = "memory"
    events.forget()
    yield
    events.forget()


@pytest.fixture
def offer(member: Callable[..., Any], help_request: Callable[..., Any]) -> Offer:
    """Offer help on a request of somebody else's."""

    def make(**given: Any) -> Any:
        from carecollective.inbox.services import offer_help

        actor = given.pop("actor", None) or member()
        request_id = given.pop("help_request_id", None) or help_request().pk
        return offer_help(
            actor=actor, help_request_id=request_id, initial_message=given.pop("initial_message", GOOD_OFFER)
        )

    return make


@pytest.fixture
def event() -> MakeEvent:
    """Make an event of a V2 send that succeeded; `age` says how many seconds ago."""
    import time

    def make(*, age: float = 0, **fields: Any) -> Event:
        plain = Event(
            key=uuid4(),
            method=Method.SEND,
            outcome=Outcome.SUCCESS,
            error_code=None,
            version=MessagingVersion.V2,
            stage="enabled",
            duration_ms=20.0,
            request_id="request-of-a-test",
            user_id=uuid4(),
            conversation_id=None,
            help_request_id=None,
            connection_error=False,
            ended_at=time.monotonic() - age,
        )
        return replace(plain, **fields)

    return make


@pytest.fixture
def write(db: None) -> Callable[..., None]:
    """Put events into the table, within the test's transaction."""
    from django.db import connection

    from rollout.telemetry.writer import insert

    def put(*rows: Event) -> None:
        with connection.cursor() as cursor:
            insert(cursor, rows)

    return put
