"""Record one event for each start and send, however it ended. Gates, guard, dashboards and alerts read them.

Events are written outside the operation's transaction, so that a rolled-back operation is counted too. With
ROLLOUT_EVENTS "thread" a writer thread of this process inserts them; with "direct" they are inserted at once, as in
commands; with "memory" they wait for `flush`, as in tests. A "direct" event inside a transaction waits in memory as well.
"""

import atexit
import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection

from carecollective.core.database import Member
from carecollective.messaging.errors import ConversationExists
from carecollective.observability import request_ids, sentry
from carecollective.observability.logging import write_line
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.process_thread import ProcessThread
from rollout.targeting.state import environment_disables
from rollout.telemetry import counters
from rollout.telemetry.outcomes import Event, Method, Outcome, is_connection_error, judge
from rollout.telemetry.writer import BATCH, MOST_WAITING, EventWriter, insert, write_now

FLUSH_AT_EXIT = 2.0
_COUNTED = "_counted_as_event"
logger = logging.getLogger(__name__)
lines = logging.getLogger("rollout.telemetry.events")


_writer = ProcessThread(EventWriter)
_memory: deque[Event] = deque(maxlen=MOST_WAITING)
# A fork must not write its parent's events again.
os.register_at_fork(after_in_child=_memory.clear)
_current: ContextVar[Event | None] = ContextVar("event", default=None)


def current() -> Event | None:
    """Return the event of the operation under way."""
    return _current.get()


@contextmanager
def measured(
    *,
    method: Method,
    member: Member | None,
    help_request_id: UUID | None = None,
    conversation_id: UUID | None = None,
) -> Iterator[Event]:
    """Time the block and record exactly one event when it ends, however it ends.

    Enter it outside the operation's transaction. It adds no query and raises no error of its own.
    """
    operation = Event(
        method=method,
        user_id=member.pk if member else None,
        help_request_id=help_request_id,
        conversation_id=conversation_id,
    )
    token = _current.set(operation)
    began = time.perf_counter()
    error: BaseException | None = None
    try:
        yield operation
    except BaseException as raised:
        error = raised
        raise
    finally:
        took = time.perf_counter() - began
        _mark_counted(error)
        _current.reset(token)
        try:
            record(_end(operation, error, seconds=took))
        except Exception:
            # A broken measurement must not break the operation.
            logger.exception("An event could not be recorded.")


def count_lost_connection(error: BaseException) -> None:
    """Record that a request, other than a start or send, could not reach the database."""
    if getattr(error, _COUNTED, False) or not is_connection_error(error):
        return
    _mark_counted(error)
    record(_end(Event(Method.REQUEST), error))


def _mark_counted(error: BaseException | None) -> None:
    if error is not None:
        with suppress(AttributeError):
            setattr(error, _COUNTED, True)


def record(event: Event) -> None:
    """Queue or write the event, count it, and log its line; with "thread" it never waits for the database."""
    match settings.ROLLOUT_EVENTS:
        case "thread":
            _writer.start().add(event)
        case "direct" if not connection.in_atomic_block:
            try:
                write_now([event])
            except psycopg.Error as problem:
                logger.warning("An event could not be written (%s).", type(problem).__name__)
        case _:
            _memory.append(event)
    counters.observe(event)
    _print_line(event)
    if event.outcome is Outcome.FAILED:
        sentry.tag(version=str(event.version or "none"), stage=event.stage or "unknown")


def recorded() -> tuple[Event, ...]:
    """Return the events that wait in memory, oldest first."""
    return tuple(_memory)


def forget() -> None:
    """Drop the events that wait in memory, so that one test does not see another's."""
    _memory.clear()


def waiting() -> int:
    """Tell how many events of this process are not in the table yet."""
    return len(_memory) + (_writer.thread.waiting if _writer.thread else 0)


def flush(timeout: float = FLUSH_AT_EXIT) -> bool:
    """Write the waiting events; return False if that took longer than `timeout` seconds.

    Those in memory are written on Django's own connection, and so in a test's transaction.
    """
    if _memory:
        with connection.cursor() as cursor:
            while _memory:
                batch = [_memory.popleft() for _ in range(min(BATCH, len(_memory)))]
                insert(cursor, batch)
    return _writer.thread.flush(timeout) if _writer.thread else True


@atexit.register
def _write_at_exit() -> None:
    with suppress(Exception):
        if _writer.thread is not None:
            _writer.thread.flush(FLUSH_AT_EXIT)
        if _memory and settings.ROLLOUT_EVENTS == "direct":
            write_now(list(_memory))


def known_stage() -> str | None:
    """Return the stage that this process uses, without a query; None where it does not follow the rollout."""
    if environment_disables():
        return str(DISABLED)
    return str(snapshot.current().stage) if settings.ROLLOUT_SNAPSHOT == "thread" else None


def _end(event: Event, error: BaseException | None, *, seconds: float = 0.0) -> Event:
    """Fill in how the operation ended."""
    event.outcome, event.error_code = judge(error)
    if isinstance(error, ConversationExists):
        event.conversation_id = event.conversation_id or error.conversation_id
    event.stage = known_stage()
    event.duration_ms = round(seconds * 1000, 3)
    event.request_id = request_ids.current()
    event.connection_error = is_connection_error(error)
    event.ended_at = time.monotonic()
    return event


_LEVELS = {Outcome.SUCCESS: logging.INFO, Outcome.REFUSED: logging.WARNING, Outcome.FAILED: logging.ERROR}


def _print_line(event: Event) -> None:
    write_line(
        lines,
        _LEVELS[event.outcome],
        event.event,
        service=event.service,
        method=event.method.value,
        error_code=event.error_code,
        request_id=event.request_id,
        user_id=event.user_id,
        conversation_id=event.conversation_id,
        duration_ms=round(event.duration_ms),
        help_request_id=event.help_request_id,
        version=event.version.value if event.version else None,
        stage=event.stage,
    )
