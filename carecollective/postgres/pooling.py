"""Whether a pooler, such as PgBouncer in transaction mode, shares database sessions among its clients."""

from collections.abc import Callable
from typing import Any

import psycopg

from carecollective.postgres.errors import PostgresError

# A busy pooler may by chance give the same session again.
LOOKS = 20
REFUSAL = (
    "The database is reached through a pooler in transaction mode (such as PgBouncer), where the locks of migrations, worker"
    " and guard would hold nobody: set DATABASE_DIRECT_URL to the URL of PostgreSQL itself."
)

Connect = Callable[[], "psycopg.Connection[Any]"]


def refuse_shared_sessions(connect: Connect) -> None:
    """Return only when the session of each connection is its own for as long as it is open.

    Args:
        connect: Opens a connection in autocommit; called once, or twice where a pooler may stand in between.

    Raises PostgresError with one sentence that names the remedy, and OperationalError without a database.
    """
    with connect() as first:
        # A pooler gives its clients numbers of its own, by which they cancel a statement.
        if _session_of(first) != first.info.backend_pid:
            with connect() as second:
                if _are_shared(first, second):
                    raise PostgresError(REFUSAL)


def _are_shared(first: "psycopg.Connection[Any]", second: "psycopg.Connection[Any]") -> bool:
    """Tell whether one connection was in several sessions, or both in one.

    A pooler takes the session used last, or each in its turn: asking the second twice finds out either.
    """
    of_first, of_second = set[int](), set[int]()
    for _ in range(LOOKS):
        of_first.add(_session_of(first))
        of_second |= {_session_of(second), _session_of(second)}
        if len(of_first) > 1 or len(of_second) > 1 or of_first & of_second:
            return True
    return False


def _session_of(connection: "psycopg.Connection[Any]") -> int:
    # A statement that was prepared would meet its own name in a session that another client prepared it in.
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return int(row[0]) if row else 0
