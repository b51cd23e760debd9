"""Scratch databases for restore drills. They are dropped again, however the drill ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import psycopg
from psycopg import sql

from carecollective.operations.connections import Session, connected, url_of
from carecollective.operations.errors import OperationError
from carecollective.postgres import advisory_locks
from carecollective.postgres.roles import fetch_value

SCRATCH = "_trial_"
# Dropping a database waits for a checkpoint, but the worker must not hang when the database stops answering.
PRUNE_ANSWER_SECONDS = 60.0
DROP_SECONDS = 60.0
DROP_AGAIN_SECONDS = 0.5
# Autovacuum usually ends sooner. If not, a plain DROP DATABASE ends it; that waits five seconds for other sessions.
AUTOVACUUM_SECONDS = 5.0


@contextmanager
def exclusive_drill(session: Session) -> Iterator[None]:
    """Hold the lock of drills as long as the session lasts. Raises OperationError if another drill runs."""
    if not _try_lock(session):
        raise OperationError("Another restore drill is running on this database.")
    _drop_leftovers(session)
    yield


def new_name(session: Session) -> str:
    """Return a name for a scratch database beside the session's own."""
    return _prefix(session) + token_hex(6)


def prune_scratch_databases() -> int:
    """Drop the scratch databases of killed drills, which hold members' data; return how many. A task of the worker."""
    with connected(url_of("owner"), autocommit=True, answer_seconds=PRUNE_ANSWER_SECONDS) as session:
        return _drop_leftovers(session) if _try_lock(session) else 0


def drop_database(session: Session, name: str, *, seconds: float = DROP_SECONDS) -> None:
    """Drop a database and end the sessions in it. Raises OperationError after `seconds`.

    We may not end the sessions of autovacuum and of administrators, so it retries until these are over.
    """
    plain = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    forced = plain + sql.SQL(" WITH (FORCE)")
    began = time.monotonic()
    while True:
        for statement in (forced, plain) if time.monotonic() - began > AUTOVACUUM_SECONDS else (forced,):
            try:
                session.execute(statement)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectInUse) as problem:
                refusal = problem.diag.message_primary
            else:
                return
        if time.monotonic() - began >= seconds:
            raise OperationError(
                f"The scratch database {name} could not be dropped within {seconds:.0f} s ({refusal}): the next drill,"
                " or the worker within the hour, drops it."
            )
        time.sleep(DROP_AGAIN_SECONDS)


def _try_lock(session: Session) -> bool:
    return fetch_value(session, "SELECT pg_try_advisory_lock(%s)", advisory_locks.RESTORE_DRILL) is True


def _prefix(session: Session) -> str:
    return session.info.dbname[:40] + SCRATCH


def _drop_leftovers(session: Session) -> int:
    """Drop what other drills left. The caller holds the lock, so none of them runs."""
    found = session.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [_prefix(session)]
    ).fetchall()
    for (name,) in found:
        drop_database(session, name)
    return len(found)
