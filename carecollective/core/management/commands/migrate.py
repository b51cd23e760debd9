from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from carecollective.postgres import advisory_locks

WAITING = "Another process brings the tables up to date; waiting for it …"


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
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [advisory_locks.MIGRATIONS])
            if cursor.fetchone() != (True,):
                say(WAITING)
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_locks.MIGRATIONS])
        yield
    finally:
        session.close()
