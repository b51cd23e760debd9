"""Connections with a time limit of the client's own, for a database or network that accepts and never answers."""

import math
import select
import threading
import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from carecollective.postgres.dsn import CONNECT_SECONDS

# More than the server's own time limit for a statement, and less than the five seconds in which every page answers.
ANSWER_SECONDS = 4.0
# A connection that answered so long ago is not asked again whether it answers.
ALIVE_SECONDS = 2.0
# After a connection attempt without an answer, others fail at once for so long; then one tries again.
PAUSE_SECONDS = 1.0

Result = TypeVar("Result")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes longer than `answer_seconds`, or does not come by `deadline`.

    PostgreSQL's own time limits do not help when the network forwards nothing, and the machine answers keepalives by itself.
    """

    answer_seconds = ANSWER_SECONDS
    # On the monotonic clock.
    deadline = math.inf
    answered_at = -math.inf

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        """Wait for the server's answer. If it does not come in time, close the connection and raise OperationalError."""
        began = time.monotonic()
        seconds = min(self.answer_seconds, max(self.deadline - began, 0.0))
        if timeout is not None or math.isinf(seconds):
            # A wait with a timeout is for notifications, and these need not come.
            return super().wait(gen, interval, timeout)
        try:
            answer = super().wait(gen, interval, seconds)
        except psycopg.OperationalError as problem:
            if time.monotonic() < began + seconds:
                raise
            self.pgconn.finish()
            message = f"The database did not answer within {seconds:g} s."
            raise psycopg.OperationalError(message) from problem
        self.answered_at = time.monotonic()
        return answer

    def set_autocommit(self, value: bool) -> None:
        """Set whether each statement is a transaction of its own. psycopg would wait here, though nothing is asked."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            super().set_autocommit(value)
        self._autocommit = value

    def has_just_answered(self) -> bool:
        """Tell whether the last answer came a moment ago, and nothing since: a server that ends says so, or closes.

        It costs no round trip. After a longer silence only a question tells.
        """
        if self.closed or time.monotonic() - self.answered_at > ALIVE_SECONDS:
            return False
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return not poll.poll(0)


class CircuitBreaker:
    """Refuses connections at once while the database does not answer, so that not every request waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_tripped, self._open_until = False, -math.inf

    @property
    def is_open(self) -> bool:
        """Tell whether connections are refused at the moment."""
        return time.monotonic() < self._open_until

    def connect(self, **parameters: Any) -> BoundedConnection:
        """Connect. Raises OperationalError; at once while the breaker is open."""
        with self._lock:
            if self.is_open:
                raise psycopg.OperationalError("The database does not answer.")
            if self._has_tripped:
                # This call tries; the others are refused until it knows.
                self._open_until = time.monotonic() + CONNECT_SECONDS + PAUSE_SECONDS
        is_silent = False
        try:
            return BoundedConnection.connect(**parameters)
        except psycopg.errors.ConnectionTimeout:
            is_silent = True
            raise
        finally:
            self._has_tripped = is_silent
            self._open_until = time.monotonic() + PAUSE_SECONDS if is_silent else -math.inf
