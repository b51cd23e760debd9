"""Django's PostgreSQL backend, with a time limit on the client's side for the web and guard roles."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from django.db import transaction
from django.db.backends.postgresql import base
from psycopg import IsolationLevel
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import TimestamptzLoader

from carecollective.postgres.backend.prepared import ONLY_WHAT_IS_MARKED, PreparingCursor
from carecollective.postgres.bounded import BoundedConnection, CircuitBreaker
from carecollective.postgres.dsn import ROLE_NAMES
from carecollective.postgres.roles import LIMITED_ROLES

# For the check of a kept connection before it is used: enough for a busy server, with time left to open another.
CHECK_SECONDS = 1.5
circuit_breaker = CircuitBreaker()
BOUNDED = frozenset(ROLE_NAMES[role] for role in LIMITED_ROLES)


@cache
def _with_own_times(adapters: AdaptersMap) -> AdaptersMap:
    """Let psycopg's own loader, in C, read times: in UTC it gives what Django's gives, which is written in Python.

    A page of fifty messages holds a hundred: it costs 0.3 ms less.
    """
    ours = AdaptersMap(adapters)
    ours.register_loader("timestamptz", TimestamptzLoader)
    return ours


class DatabaseWrapper(base.DatabaseWrapper):
    _deadline = math.inf
    _kept_cursor: Any = None

    def get_connection_params(self) -> dict[str, Any]:
        """Let statements that are marked as `Prepared` be prepared, except behind a pooler: their sessions are shared."""
        parameters: dict[str, Any] = super().get_connection_params()
        is_pooled = self.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS", False)
        if parameters["cursor_factory"] is base.ServerBindingCursor and not is_pooled:
            parameters |= {"cursor_factory": PreparingCursor, "prepare_threshold": ONLY_WHAT_IS_MARKED}
        if self._is_in_utc:
            parameters["context"] = _with_own_times(parameters["context"])
        return parameters

    @property
    def _is_in_utc(self) -> bool:
        return bool(self.timezone_name == "UTC")

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor. Django's own would look for its loader of times, and register it for each cursor."""
        if not self._is_in_utc:
            return super().create_cursor(name)
        if name:
            return self.connection.cursor(name, scrollable=False, withhold=self.connection.autocommit)
        return self.connection.cursor()

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Connect; for the web and guard roles, with a limit on each answer. Raises OperationalError."""
        if self.settings_dict["USER"] not in BOUNDED:
            connection: psycopg.Connection[Any] = super().get_new_connection(conn_params)
            return connection
        self.isolation_level = IsolationLevel.READ_COMMITTED
        opened = circuit_breaker.connect(**conn_params)
        opened.deadline = self._deadline
        return opened

    def is_usable(self) -> bool:
        """Tell whether the connection still answers."""
        held = self.connection
        if not isinstance(held, BoundedConnection):
            return bool(super().is_usable())
        if circuit_breaker.is_open:
            return False
        if held.has_just_answered():
            return True
        held.answer_seconds = CHECK_SECONDS
        try:
            return bool(super().is_usable())
        finally:
            held.answer_seconds = BoundedConnection.answer_seconds

    @property
    def _is_listened_to(self) -> bool:
        """Whether somebody wants to see each statement: Django's log of them, or a wrapper around them."""
        return self.queries_logged or bool(self.execute_wrappers)

    def fetch(self, statement: str, values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement by hand.

        One cursor is kept: making Django's and psycopg's for each statement is a good part of what it costs.
        """
        if self._is_listened_to:
            with self.cursor() as cursor:
                cursor.execute(statement, values)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                return rows
        self.validate_no_broken_transaction()
        cursor = self._ready_cursor()
        with self.wrap_database_errors:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def fetch_second(self, first: str, first_values: Any, second: str, values: Any) -> list[tuple[Any, ...]]:
        """Run two statements by hand in one round trip, and return the rows of the second. It sees what the first waited for.

        Outside a transaction these two are one: PostgreSQL makes one of what comes in a pipeline, without BEGIN and COMMIT.
        """
        if self._is_listened_to:
            with transaction.atomic(self.alias):
                self.fetch(first, first_values)
                return self.fetch(second, values)
        self.validate_no_broken_transaction()
        cursor = self._ready_cursor()
        with self.wrap_database_errors:
            with self.connection.pipeline():
                cursor.execute(first, first_values)
                last = self.create_cursor()
                last.execute(second, values)
            return list(last.fetchall())

    def _ready_cursor(self) -> Any:
        if not self.in_atomic_block:
            self.close_if_health_check_failed()
        if self.connection is None:
            self.ensure_connection()
        if self._kept_cursor is None or self._kept_cursor.connection is not self.connection:
            self._kept_cursor = self.create_cursor()
        return self._kept_cursor

    def execute_first(self, statement: str) -> None:
        """Begin the transaction of the `atomic` block that was just entered with `statement`, which holds no parameters.

        Where that is possible, both go in one round trip. The statement is in no log of Django's then.
        """
        if isinstance(self.connection, BoundedConnection):
            with self.wrap_database_errors:
                if self.connection.begin_with(statement):
                    return
        with self.cursor() as cursor:
            cursor.execute(statement)

    @contextmanager
    def answering_until(self, deadline: float) -> Iterator[None]:
        """Wait for no answer beyond `deadline` on the monotonic clock, for the block. The connection is closed then."""
        self._set_deadline(deadline)
        try:
            yield
        finally:
            self._set_deadline(math.inf)

    def _set_deadline(self, deadline: float) -> None:
        self._deadline = deadline
        if isinstance(self.connection, BoundedConnection):
            self.connection.deadline = deadline
