"""Connections that give up on a database, or a network, that accepts everything and never answers."""

import math
import threading
import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from carecollective.postgres.dsn import CONNECT_SECONDS

# More than the server's own time limit for a statement, and less than the five seconds in which every page answers.
ANSWER_SECONDS = 4.0
# After a connection that was taken and not answered, others are refused for so long; then one tries.
PAUSE_SECONDS = 1.0

Result = TypeVar("Result")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which no answer may take longer than `answer_seconds`: then it is closed.

    PostgreSQL's time limits reach nobody through a network that forwards nothing, and keepalives are answered by the machine.
    """

    answer_seconds = ANSWER_SECONDS

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        """Wait for the server's answer. Raises OperationalError, and closes the connection, where it does not come in time."""
        if timeout is not None or math.isinf(self.answer_seconds):
            # With a timeout it waits for notifications, of which there need be none.
            return super().wait(gen, interval, timeout)
        deadline = time.monotonic() + self.answer_seconds
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.OperationalError as problem:
            if time.monotonic() < deadline:
                raise
            self.pgconn.finish()
            sentence = f"The database did not answer within {self.answer_seconds:g} s."
            raise psycopg.OperationalError(sentence) from problem


class Silence:
    """A circuit breaker: while the database takes connections without a word, not every request finds that out anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_silent, self._until = False, -math.inf

    @property
    def is_known(self) -> bool:
        """Tell whether connections are refused at present."""
        return time.monotonic() < self._until

    def connect(self, **parameters: Any) -> BoundedConnection:
        """Connect. Raises OperationalError, and at once while the database is known to be silent."""
        with self._lock:
            if self.is_known:
                raise psycopg.OperationalError("The database does not answer.")
            if self._is_silent:
                # This one tries; the others wait for what it finds.
                self._until = time.monotonic() + CONNECT_SECONDS + PAUSE_SECONDS
        is_silent = False
        try:
            return BoundedConnection.connect(**parameters)
        except psycopg.errors.ConnectionTimeout:
            is_silent = True
            raise
        finally:
            self._is_silent, self._until = is_silent, time.monotonic() + PAUSE_SECONDS if is_silent else -math.inf
