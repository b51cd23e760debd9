"""One process migrates a database at a time: of several hosts that start at once, the others wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connections

LOCK_KEY = 7_262_013
WAITING = "Another process brings the tables up to date; waiting for it …"

_held: ContextVar[bool] = ContextVar("migration_lock_held", default=False)


@contextmanager
def migrating_alone(alias: str, *, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock for the block, on a connection of its own; `say` is told when another process has it.

    Inside itself it changes nothing. The lock ends with its transaction, so that a pooler may share the connection.
    """
    if _held.get():
        yield
        return
    session = connections.create_connection(alias)
    token = _held.set(True)
    try:
        session.set_autocommit(False)
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK_KEY])
            if cursor.fetchone() != (True,):
                say(WAITING)
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        yield
    finally:
        _held.reset(token)
        session.close()
