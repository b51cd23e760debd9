"""Writes events to the table on its own connection, so that no request waits for it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

import psycopg

from carecollective.postgres.bounded import BoundedConnection
from carecollective.postgres.roles import STATEMENT_TIMEOUT_MS
from rollout.targeting.connections import connection_parameters
from rollout.telemetry import counters
from rollout.telemetry.outcomes import Event

logger = logging.getLogger(__name__)

APPLICATION_NAME = "carecollective-events"
MOST_WAITING = 10_000
BATCH = 500
# So long the first event of a batch waits for more: writing each by itself was a noticeable part of a send.
GATHER_SECONDS = 0.25
RETRY_FIRST, RETRY_LAST = 0.1, 2.0
# On a locked table the writer gives up soon and tries again, so that nobody queues behind it.
LIMITS = f"SET lock_timeout = '500ms'; SET statement_timeout = '{STATEMENT_TIMEOUT_MS}ms'"

# One statement for a whole batch: a column of all its events is one array.
_COLUMNS = {
    "key": "uuid", "service": "text", "method": "text", "event": "text", "log_level": "text", "error_code": "text",
    "version": "text", "stage": "text", "duration_ms": "float8", "request_id": "text", "user_id": "uuid",
    "conversation_id": "uuid", "help_request_id": "uuid", "connection_error": "bool",
}  # fmt: skip
_STAGE = "coalesce(stage, (SELECT stage FROM public.rollout_state), 'disabled')"
INSERT = f"""
INSERT INTO public.application_logs ({", ".join(_COLUMNS)}, timestamp)
SELECT {", ".join(_STAGE if column == "stage" else column for column in _COLUMNS)},
       clock_timestamp() - make_interval(secs => age)
FROM unnest({", ".join(f"%s::{kind}[]" for kind in _COLUMNS.values())}, %s::float8[]) AS waiting ({", ".join(_COLUMNS)}, age)
ON CONFLICT (key) DO NOTHING
"""  # noqa: S608 -- our own text


def insert(cursor: Any, events: Sequence[Event]) -> None:
    """Write the events with a cursor of Django's or psycopg's, each at the database's clock set back by its age."""
    now = time.monotonic()
    cursor.execute(INSERT, [list(column) for column in zip(*(_row(event, now) for event in events), strict=True)])


def _row(event: Event, now: float) -> tuple[Any, ...]:
    return (
        event.key,
        event.service,
        event.method.value,
        event.event,
        event.outcome.log_level,
        event.error_code,
        event.version.value if event.version else None,
        event.stage,
        event.duration_ms,
        event.request_id,
        event.user_id,
        event.conversation_id,
        event.help_request_id,
        event.connection_error,
        max(0.0, now - event.ended_at),
    )


def write_now(events: Sequence[Event]) -> None:
    """Write on a connection made for these events alone. Raises psycopg.Error."""
    with BoundedConnection.connect(**connection_parameters(application_name=APPLICATION_NAME)) as connection:
        connection.execute(LIMITS)
        insert(connection.cursor(), events)


class EventWriter(threading.Thread):
    """Writes the waiting events in batches, oldest first, through any outage; drops the oldest beyond 10,000."""

    def __init__(self) -> None:
        super().__init__(name="rollout-events", daemon=True)
        self.dropped = 0
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._pause, self._reported = RETRY_FIRST, False
        self._stopping = self._hurries = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, event: Event) -> None:
        """Queue an event; never waits for the database."""
        with self._changed:
            self._waiting.append(event)
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            # Between these the writer would wake up for nothing.
            if len(self._waiting) in (1, BATCH):
                self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Write everything now; return False if that takes longer."""
        with self._changed:
            self._hurries = True
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._waiting, timeout)
            finally:
                self._hurries = False

    def stop(self) -> None:
        """End the thread; events that still wait are lost."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.join(RETRY_LAST + 1)

    def run(self) -> None:
        while not self._stopping:
            try:
                parameters = connection_parameters(application_name=APPLICATION_NAME)
                with BoundedConnection.connect(**parameters, autocommit=True) as connection:
                    connection.execute(LIMITS)
                    self._write_while_connected(connection)
            except Exception as error:  # noqa: BLE001 - the thread survives any failure of one connection
                self._wait_after(error)

    def _write_while_connected(self, connection: "psycopg.Connection[Any]") -> None:
        while batch := self._next_batch():
            try:
                self._write(connection, batch)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
                self._wait_after(error)
                continue
            self._forget(batch)
            self._pause, self._reported = RETRY_FIRST, False

    def _write(self, connection: "psycopg.Connection[Any]", batch: list[Event]) -> None:
        try:
            insert(connection.cursor(), batch)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # A row that the table never accepts must not hold up the others.
            if len(batch) > 1:
                for event in batch:
                    self._write(connection, [event])
                return
            self.dropped += 1
            logger.error("An event was given up (%s).", type(error).__name__)

    def _next_batch(self) -> list[Event]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            self._changed.wait_for(self._is_time, GATHER_SECONDS)
            batch = [] if self._stopping else list(islice(self._waiting, BATCH))
        self._observe()
        return batch

    def _is_time(self) -> bool:
        return self._hurries or self._stopping or len(self._waiting) >= BATCH

    def _forget(self, batch: list[Event]) -> None:
        # The oldest of the batch may have been given up in the meantime.
        written = {event.key for event in batch}
        with self._changed:
            while self._waiting and self._waiting[0].key in written:
                self._waiting.popleft()
            self._changed.notify_all()
        self._observe()

    def _observe(self) -> None:
        counters.observe_spool(waiting=len(self._waiting), dropped=self.dropped)

    def _wait_after(self, error: Exception) -> None:
        if not self._reported:  # an outage is one line, not one a second
            logger.warning("Events cannot be written and wait (%s, %s).", type(error).__name__, self.waiting)
        self._reported = True
        self._observe()
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, RETRY_LAST)
