"""Leader election by an advisory lock, which is held as long as its connection lives."""

from collections.abc import Callable

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from carecollective.core.database import direct_connection, refuse_shared_sessions


class SessionLock:
    """A lock on a connection of its own. When the connection or its process dies, the database frees the lock.

    Args:
        key: The lock's number, from `postgres/advisory_locks.py`.
        prepare: Statements to run on the connection before trying the lock.
        when_refused: Called with a cursor of the connection if another process holds the lock.
    """

    def __init__(
        self, key: int, *, prepare: tuple[str, ...] = (), when_refused: Callable[[CursorWrapper], None] | None = None
    ) -> None:
        self.key = key
        self.prepare = prepare
        self.when_refused = when_refused
        self.connection: BaseDatabaseWrapper | None = None
        self._is_safe = False

    @property
    def is_held(self) -> bool:
        return self.connection is not None

    def take(self) -> bool:
        """Try to take the lock, and tell whether we hold it.

        Raises django.db.Error without a database, and PostgresError behind a pooler, where two processes could hold it.
        """
        if self.connection is not None:
            return True
        if not self._is_safe:
            refuse_shared_sessions()
            self._is_safe = True
        candidate = direct_connection()
        try:
            with candidate.cursor() as cursor:
                for statement in self.prepare:
                    cursor.execute(statement)
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [self.key])
                taken = cursor.fetchone() == (True,)
                if not taken and self.when_refused is not None:
                    self.when_refused(cursor)
        except Error:
            candidate.close()
            raise
        if not taken:
            candidate.close()
            return False
        self.connection = candidate
        return True

    def cursor(self) -> CursorWrapper:
        """Open a cursor on the connection that holds the lock: a statement that succeeds proves that we hold it."""
        if self.connection is None:
            raise RuntimeError("The lock is not held.")
        return self.connection.cursor()

    def release(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
