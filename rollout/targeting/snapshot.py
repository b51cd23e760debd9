"""Keeps a fresh copy of the rollout's state in every process, so that requests need no query.

With ROLLOUT_SNAPSHOT "thread", one thread per process listens for notifications on its own connection, and reads the row
after each, at least once a second. With "query", each call reads through Django.

Any role may send notifications, without limit. The thread reads at most 20 times a second; in a flood it stops
listening for a while and polls.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import Error as DjangoDatabaseError

from carecollective.core.database import fetch_all
from carecollective.postgres.backend.prepared import Prepared
from carecollective.postgres.bounded import BoundedConnection
from rollout.stages import Stage
from rollout.targeting import propagation
from rollout.targeting.connections import connection_parameters
from rollout.targeting.guard_lease import IS_WATCHING
from rollout.targeting.process_thread import ProcessThread
from rollout.targeting.state import MISSING, UNKNOWN, RolloutState

logger = logging.getLogger(__name__)

CHANNEL = "rollout_changed"
APPLICATION = "carecollective-rollout"
_STATE = f"""
SELECT stage::text, v1_writes, salt::text, version,
  EXISTS (SELECT FROM public.rollout_guard_lease WHERE {IS_WATCHING}) AS guarded,
  to_regclass('public.conversations_v2') IS NOT NULL AND to_regclass('public.messages_v2') IS NOT NULL AS installed
"""  # noqa: S608 (a condition of ours)
READ = Prepared(f"{_STATE}, public.rollout_testers() AS testers FROM public.rollout_state")
# For one who knows the state of a moment ago. Who the testers are takes half of READ, and changes seldom.
READ_AGAIN = Prepared(f"{_STATE} FROM public.rollout_state")
STALE_AFTER = 5.0
POLL_EVERY = 1.0
FIRST_READ_WITHIN = 1.0
RETRY_FIRST, RETRY_LAST = 0.05, 1.0
SHORTEST_PAUSE = 0.05
# More notifications than this between two reads are a flood: no rollout changes so often.
FLOOD = 100
POLL_IN_FLOOD = 0.2
DEAF_FOR = 10.0


def current() -> RolloutState:
    """Return the rollout's state as far as known; not `fresh` after 5 s. Never raises."""
    if settings.ROLLOUT_SNAPSHOT == "thread":
        return start().state()
    return _query()


def read_now() -> RolloutState:
    """Read the row itself, on Django's connection and in the caller's transaction.

    Unlike `current` it raises database errors: the transaction is broken then, and must not go on as V1.
    """
    return state_of(fetch_all(READ))


def age_seconds() -> float | None:
    """Return the age of this process's copy; None when there is none."""
    if settings.ROLLOUT_SNAPSHOT == "thread":
        return start().age()
    return None if _query() == UNKNOWN else 0.0


def start() -> "Follower":
    """Return this process's follower, started if necessary."""
    return _follower.start()


def stop() -> None:
    """Stop this process's follower, if there is one; the next read starts another."""
    if (follower := _follower.take()) is not None:
        follower.stop()


class Follower(threading.Thread):
    """The thread that follows the rollout's row on its own connection."""

    def __init__(self) -> None:
        super().__init__(name="rollout-snapshot", daemon=True)
        self._known: tuple[RolloutState, float] | None = None
        self._born_at = time.monotonic()
        self._read_once = threading.Event()
        self._stopping = threading.Event()
        self._asked_at = float("-inf")
        self._deaf_until = 0.0

    def state(self) -> RolloutState:
        known = self._first_read()
        if known is None:
            return UNKNOWN
        state, read_at = known
        return state if time.monotonic() - read_at <= STALE_AFTER else replace(state, fresh=False)

    def age(self) -> float | None:
        known = self._first_read()
        return None if known is None else time.monotonic() - known[1]

    def _first_read(self) -> tuple[RolloutState, float] | None:
        # Wait only while the process is new: with the database away, every request would wait.
        if self._known is None:
            self._read_once.wait(max(0.0, self._born_at + FIRST_READ_WITHIN - time.monotonic()))
        return self._known

    def remember(self, state: RolloutState, *, read_at: float) -> None:
        self._known = state, read_at
        self._read_once.set()

    def stop(self) -> None:
        self._stopping.set()
        self.join(POLL_EVERY + 1)

    def run(self) -> None:
        pause, reported = RETRY_FIRST, False
        while not self._stopping.is_set():
            try:
                with BoundedConnection.connect(
                    **connection_parameters(application_name=APPLICATION), autocommit=True
                ) as connection:
                    # Listen before the first read, so that no change falls between the two.
                    self._listen(connection)
                    while not self._stopping.is_set():
                        self._read(connection)
                        pause, reported = RETRY_FIRST, False
                        self._wait(connection)
            except Exception as error:  # noqa: BLE001 - the thread survives any failure of one connection
                if not reported:  # an outage is one line, not one a second
                    logger.warning("The rollout's snapshot lost its connection (%s).", type(error).__name__)
                reported = True
            self._stopping.wait(pause)
            pause = min(pause * 2, RETRY_LAST)

    def _listen(self, connection: "psycopg.Connection[Any]") -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self._deaf_until = 0.0

    def _read(self, connection: "psycopg.Connection[Any]") -> None:
        # Take the time before the query, so that the copy is never older than it claims.
        self._asked_at = time.monotonic()
        state = state_of(connection.execute(READ).fetchall())
        self.remember(state, read_at=self._asked_at)
        propagation.acknowledge(connection, version=state.version)

    def _wait(self, connection: "psycopg.Connection[Any]") -> None:
        """Wait for a notification, at most a second; several in a row count as one."""
        if self._deaf_until:
            self._stopping.wait(POLL_IN_FLOOD)
            if time.monotonic() >= self._deaf_until:
                self._listen(connection)
            return
        received = sum(1 for _ in connection.notifies(timeout=POLL_EVERY, stop_after=1))
        if (pause := self._asked_at + SHORTEST_PAUSE - time.monotonic()) > 0:
            received += sum(1 for _ in connection.notifies(timeout=pause))
        if received > FLOOD:
            connection.execute("UNLISTEN *")
            self._deaf_until = time.monotonic() + DEAF_FOR
            logger.warning("%s notifications came at once; the rollout's state is polled for %s s.", received, DEAF_FOR)


_follower = ProcessThread(Follower)


def _query() -> RolloutState:
    try:
        return read_now()
    except DjangoDatabaseError as error:
        logger.warning("The rollout's state could not be read (%s).", type(error).__name__)
        return UNKNOWN


def state_of(rows: Sequence[tuple[Any, ...]]) -> RolloutState:
    """Return the state that the rows of READ hold."""
    if not rows:
        return MISSING
    ((*columns, testers),) = rows
    return _state(columns, frozenset(testers))


def state_again(rows: Sequence[tuple[Any, ...]], known: RolloutState) -> RolloutState:
    """Return the state that the rows of READ_AGAIN hold: `known` itself while nothing has changed.

    Who the testers are is taken from it in any case.
    """
    if not rows:
        return MISSING
    (columns,) = rows
    if known.fresh and columns == _columns(known):
        return known
    return _state(columns, known.testers)


def _columns(state: RolloutState) -> tuple[Any, ...]:
    return str(state.stage), state.v1_writes, state.salt, state.version, state.guarded, state.installed


def _state(columns: Sequence[Any], testers: frozenset[UUID]) -> RolloutState:
    stage, v1_writes, salt, version, guarded, installed = columns
    return RolloutState(
        Stage.parse(stage),
        v1_writes,
        salt,
        version,
        fresh=True,
        guarded=guarded,
        installed=installed,
        testers=testers,
    )
