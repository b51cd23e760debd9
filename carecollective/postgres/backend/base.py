"""Django's PostgreSQL backend, with a time limit on the client's side for the web and guard roles."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import psycopg
from django.db import transaction
from django.db.backends.postgresql import base
from psycopg import IsolationLevel
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import TimestamptzLoader

from carecollective.postgres.backend.prepared import Prepared, Row, StatementRunner, Values
from carecollective.postgres.bounded import BoundedConnection, CircuitBreaker
from carecollective.postgres.dsn import ROLE_NAMES
from carecollective.postgres.roles import LIMITED_ROLES

# For the check of a kept connection before it is used: enough for a busy server, with time left to open another.
CHECK_SECONDS = 1.5
circuit_breaker = CircuitBreaker()
_COMMIT = Prepared("COMMIT")
ACT = Prepared("SELECT set_config('app.user_id', %s, true)")
BOUNDED = frozenset(ROLE_NAMES[role] for role in LIMITED_ROLES)


@cache
def _prepared(statement: bytes) -> Prepared:
    return Prepared(statement.decode())


@cache
def _with_own_times(adapters: AdaptersMap) -> AdaptersMap:
    """Let psycopg's own loader, in C, read times: in UTC it gives what Django's gives, which is written in Python.

    A page of fifty messages holds a hundred: it costs 0.3 ms less.
    """
    ours = AdaptersMap(adapters)
    ours.register_loader("timestamptz", TimestamptzLoader)
    return ours


@dataclass(slots=True)
class _Waiting:
    """A statement that goes with the next one, and what it found."""

    statement: str
    values: Values
    rows: list[Row] = field(default_factory=list)


class DatabaseWrapper(base.DatabaseWrapper):
    _deadline = math.inf
    _runner: StatementRunner | None = None
    # What goes with the next statement, in its round trip.
    _ahead: Sequence[_Waiting] = ()
    # Whether `fetch_last` commits the transaction, and whether it has.
    _commits_with_last = False
    _is_over = False

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        if self._is_in_utc:
            parameters["context"] = _with_own_times(parameters["context"])
        return parameters

    @property
    def _is_pooled(self) -> bool:
        return bool(self.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS", False))

    @property
    def _is_in_utc(self) -> bool:
        return bool(self.timezone_name == "UTC")

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor. Django's own would look for its loader of times, and register it for each cursor."""
        if self._ahead or self._is_over:
            self._run()
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

    def begin_as(self, actor: str, *, commits_with_last: bool) -> None:
        """Let the transaction of the `atomic` block that was just entered begin as `actor`, a member's id.

        It begins with its first statement, in the same round trip.
        """
        self._ahead, self._commits_with_last = [_Waiting(ACT, [actor])], commits_with_last

    def _end(self) -> None:
        self._ahead, self._commits_with_last, self._is_over = (), False, False

    def _commit(self) -> None:
        is_over = self._is_over
        self._end()
        if not is_over:
            super()._commit()  # type: ignore[misc]  # not in the stubs

    def _rollback(self) -> None:
        self._end()
        super()._rollback()  # type: ignore[misc]  # not in the stubs

    def _close(self) -> None:
        self._end()
        super()._close()  # type: ignore[misc]  # not in the stubs

    def fetch(self, statement: str, values: Values) -> list[Row]:
        """Return the rows of a statement by hand."""
        if self._is_listened_to:
            with self.cursor() as cursor:
                cursor.execute(statement, values)
                rows: list[Row] = cursor.fetchall()
                return rows
        return self._run((statement, values))[0]

    def fetch_last(self, statement: str, values: Values) -> list[Row]:
        """Return the rows of a statement, and commit the transaction in the same round trip if it was begun for that.

        Where the statement fails, nothing is committed. Raises what COMMIT raises.
        """
        return self.fetch_last_and_next((statement, values))[0]

    def fetch_last_and_next(
        self, last: tuple[str, Values], *following: tuple[str, Values]
    ) -> tuple[list[Row], list[list[Row]] | None]:
        """Return what `fetch_last` returns, and the rows of a next transaction that goes with it in the same round trip.

        None for these where that fails, or where nothing is committed here: then ask again.
        """
        if not self._commits_with_last or self.savepoint_ids or self._is_listened_to:
            return self.fetch(*last), None
        rows, _none, *found = self._run(last, (_COMMIT, None), *following, may_fail=len(following))
        self._is_over = True
        return rows, found or None

    def fetch_each(self, *asked: tuple[str, Values], may_fail: int = 0) -> list[list[Row]]:
        """Run statements by hand in one round trip, and return the rows of each. Each sees what those before it waited for.

        Outside a transaction they are one: PostgreSQL makes one of what comes in a pipeline, without BEGIN and COMMIT. There the
        last `may_fail` statements, which only read, may be without rows: where one of them fails, or somebody listens.
        """
        if self._is_listened_to:
            with transaction.atomic(self.alias, savepoint=False):
                return [self.fetch(statement, values) for statement, values in asked[: len(asked) - may_fail]]
        return self._run(*asked, may_fail=may_fail)

    def fetch_ahead(self, *asked: tuple[str, Values]) -> Callable[[], list[list[Row]]]:
        """Let statements go ahead of the next one of this transaction, in its round trip.

        Returns a function that returns the rows of each; it runs them where no other statement has.
        """
        if self._is_listened_to:
            found = self.fetch_each(*asked)
            return lambda: found
        waiting = [_Waiting(statement, values) for statement, values in asked]
        self._ahead = [*self._ahead, *waiting]

        def rows() -> list[list[Row]]:
            if self._ahead:
                self._run()
            return [one.rows for one in waiting]

        return rows

    def _run(self, *asked: tuple[str, Values], may_fail: int = 0) -> list[list[Row]]:
        """Run statements by hand, after what goes ahead of them and, first of all, the beginning of the transaction.

        Where one of the last `may_fail` statements fails, none of these has rows.
        """
        self.validate_no_broken_transaction()
        if self._is_over:
            raise transaction.TransactionManagementError("This transaction was committed with its last statement.")
        if not self.in_atomic_block:
            self.close_if_health_check_failed()
        if self.connection is None:
            self.ensure_connection()
        if self._runner is None or self._runner.connection is not self.connection:
            self._runner = StatementRunner(self.connection, prepares=not self._is_pooled)
        ahead = self._ahead
        if not self.connection.autocommit and self.connection.pgconn.transaction_status == TransactionStatus.IDLE:
            ahead = [_Waiting(_prepared(self.connection._get_tx_start_command()), None), *ahead]
        with self.wrap_database_errors:
            rows = self._runner.run([*((one.statement, one.values) for one in ahead), *asked], may_fail=may_fail)
        self._ahead = ()
        for one, found in zip(ahead, rows, strict=False):
            one.rows = found
        return rows[len(ahead) :]

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
