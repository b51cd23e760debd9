"""One attempt on the database, and its expected outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from carecollective.postgres.dsn import ROLE_NAMES
from tests.policies.world import WORLD

# What comes of an attempt: a number of rows read or written, or the SQLSTATE of the refusal.
Outcome = int | str

DENIED = "42501"
NOT_A_UUID = "22P02"
TAKEN = "23505"
CHECKED = "23514"
NOT_SUPPORTED = "0A000"

# Who acts: a name of the world's; EMPTY and GARBAGE are settings that name nobody; None is no setting at all.
EMPTY = ""
GARBAGE = "root'--"


@dataclass(frozen=True, slots=True)
class Probe:
    """`proves` is a sentence; `before` prepares the attempt, as the same role, and `statement` is what is judged."""

    proves: str
    statement: str
    expected: Outcome
    actor: str | None = "outsider"
    before: Sequence[str] = ()
    role: str = "web"
    needs_legacy: bool = False


def observe(connection: psycopg.Connection[Any], probe: Probe, *, impersonate: bool = False) -> Outcome:
    """Make the attempt, roll everything back, and return the outcome.

    `impersonate` is for a superuser's connection, inside a transaction of its own: the attempt is the role's all the same,
    down to which roles it may change into.
    """
    try:
        with connection.transaction(force_rollback=True):
            if impersonate:
                connection.execute(f"SET LOCAL SESSION AUTHORIZATION {ROLE_NAMES[probe.role]}".encode())
            if probe.actor is not None:
                actor = str(WORLD.get(probe.actor, probe.actor))
                connection.execute("SELECT set_config('app.user_id', %s, true)", [actor])
            for statement in probe.before:
                _execute(connection, statement)
            return _execute(connection, probe.statement)
    except psycopg.Error as refusal:
        return refusal.sqlstate or type(refusal).__name__


def _execute(connection: psycopg.Connection[Any], statement: str) -> int:
    with connection.cursor() as cursor:
        if statement.startswith("COPY"):
            with cursor.copy(statement.encode()) as copy:
                return sum(1 for _row in copy.rows())
        cursor.execute(statement.encode(), WORLD if "%(" in statement else None)
        return cursor.rowcount
