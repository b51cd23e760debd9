"""Detects a pooler that shares database sessions among clients, such as PgBouncer in transaction mode."""

from collections.abc import Callable
from typing import Any

import psycopg

from carecollective.postgres.errors import PostgresError

# A busy pooler may give the same session again by chance.
TRIES = 20
REFUSAL = (
    "The database is reached through a pooler in transaction mode (such as PgBouncer), where the locks of migrations, worker"
    " and guard would hold nobody: set DATABASE_DIRECT_URL to the URL of PostgreSQL itself."
)

Connect = Callable[[], "psycopg.Connection[Any]"]


def refuse_shared_sessions(connect: Connect) -> None:
    """Raise PostgresError, with the remedy, if connections share their sessions.

    Args:
        connect: Opens a connection in autocommit. Called once, or twice if there may be a pooler.

    Raises OperationalError if there is no database.
    """
    with connect() as first:
        # A pooler invents the process ids that its clients cancel statements by.
        if _session_of(first) != first.info.backend_pid:
            with connect() as second:
                if _are_shared(first, second):
                    raise PostgresError(REFUSAL)


def _are_shared(first: "psycopg.Connection[Any]", second: "psycopg.Connection[Any]") -> bool:
    """Tell whether one connection was in several sessions, or both in one.

    A pooler picks the session used last, or each in turn: asking the second connection twice detects both.
    """
    of_first, of_second = set[int](), set[int]()
    for _ in range(TRIES):
        of_first.add(_session_of(first))
        of_second |= {_session_of(second), _session_of(second)}
        if len(of_first) > 1 or len(of_second) > 1 or of_first & of_second:
            return True
    return False


def _session_of(connection: "psycopg.Connection[Any]") -> int:
    # A prepared statement's name could exist already in a session that another client used.
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return int(row[0]) if row else 0
