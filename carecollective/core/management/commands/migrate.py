import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from carecollective.postgres import advisory_locks

WAITING = "Another process brings the tables up to date; waiting for it …"
ASK_AGAIN_SECONDS = 0.2


class Command(migrate.Command):
    """Django's `migrate`, which waits while another process migrates the same database."""

    def handle(self, *args: Any, **options: Any) -> None:
        with _migrating_alone(options["database"], say=self.stdout.write):
            super().handle(*args, **options)


@contextmanager
def _migrating_alone(alias: str, *, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock of migrations for the block; `say` is told when another process has it.

    The lock has a connection of its own and ends with its transaction, so that a pooler may share the connection.
    """
    session = connections.create_connection(alias)
    try:
        session.set_autocommit(False)
        with session.cursor() as cursor:
            if not _try_lock(cursor):
                say(WAITING)
                # Whoever waits inside a statement holds a snapshot, and an index that is built concurrently waits for that.
                while not _try_lock(cursor):
                    time.sleep(ASK_AGAIN_SECONDS)
        yield
    finally:
        session.close()


def _try_lock(cursor: Any) -> bool:
    # Without parameters, so that no snapshot outlives the statement either.
    cursor.execute(f"SELECT pg_try_advisory_xact_lock({advisory_locks.MIGRATIONS:d})")
    return bool(cursor.fetchone() == (True,))
