"""Scratch databases: what a backup is tried in, and dropped again whatever happened to the trial."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import psycopg
from psycopg import sql

from carecollective.operations.connections import Session, connected, url_of
from carecollective.operations.errors import OperationError
from carecollective.postgres import advisory_locks

SCRATCH = "_trial_"
# The worker must not hang on a database that stopped answering; dropping a database waits for a checkpoint.
PRUNE_ANSWER_SECONDS = 60.0
DROP_SECONDS = 60.0
DROP_AGAIN_SECONDS = 0.5
# Autovacuum is over sooner, as a rule. Where not, a plain DROP DATABASE ends it, and waits five seconds for all others.
AUTOVACUUM_SECONDS = 5.0


@contextmanager
def held_for_trials(session: Session) -> Iterator[None]:
    """Be the only trial beside this database for as long as the session lasts. Raises OperationError."""
    if not _try_lock(session):
        raise OperationError("Another trial of a backup is running on this database.")
    _drop_leftovers(session)
    yield


def new_name(session: Session) -> str:
    """Return a name for a scratch database beside the session's own."""
    return _prefix(session) + token_hex(6)


def prune_scratch_databases() -> int:
    """Drop the scratch databases that killed trials left, full of members' data; return how many. The worker's."""
    with connected(url_of("owner"), autocommit=True, answer_seconds=PRUNE_ANSWER_SECONDS) as session:
        return _drop_leftovers(session) if _try_lock(session) else 0


def drop_database(session: Session, name: str, *, seconds: float = DROP_SECONDS) -> None:
    """Drop a database and end the sessions in it, for `seconds` at most. Raises OperationError.

    Autovacuum's session and an administrator's are not ours to end: it is tried again until they are over.
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
                f"The scratch database {name} could not be dropped within {seconds:.0f} s ({refusal}): the next trial,"
                " or the worker within the hour, drops it."
            )
        time.sleep(DROP_AGAIN_SECONDS)


def _try_lock(session: Session) -> bool:
    row = session.execute("SELECT pg_try_advisory_lock(%s)", [advisory_locks.RESTORE_DRILL]).fetchone()
    return bool(row and row[0])


def _prefix(session: Session) -> str:
    return session.info.dbname[:40] + SCRATCH


def _drop_leftovers(session: Session) -> int:
    """Drop what other trials left. The caller holds the lock, so that none of them runs."""
    found = session.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [_prefix(session)]
    ).fetchall()
    for (name,) in found:
        drop_database(session, name)
    return len(found)
