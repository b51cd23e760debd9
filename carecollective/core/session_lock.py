"""An advisory lock for the one process of several that works, held for as long as its connection lives."""

from collections.abc import Callable

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from carecollective.core.database import direct_connection, refuse_shared_sessions


class SessionLock:
    """A lock on a connection of its own: losing the connection is losing the lock, and the database frees a dead one's.

    Args:
        key: The lock's number. A number is given out once in the project.
        prepare: Statements for the connection, before the lock is tried.
        when_refused: Asked, with a cursor of the connection, when somebody else holds the lock.
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
        """Take the lock unless it is ours already, and tell whether it is.

        Raises django.db.Error without a database, and PostgresError behind a pooler that would have two processes hold it.
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
        """Open a cursor on the connection that holds the lock: what it does proves that we hold it."""
        if self.connection is None:
            raise RuntimeError("The lock is not held.")
        return self.connection.cursor()

    def release(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
