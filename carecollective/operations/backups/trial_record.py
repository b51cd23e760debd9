"""The record of trials: which backup was restored to try it, when, and how that ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from carecollective.operations.connections import Session
from carecollective.operations.errors import OperationError

# The reason goes to staff by mail and chat: its first sentence is enough.
LONGEST_REASON = 300

# A legacy database, or one that is not migrated yet, has no record.
_HAS_RECORD = "SELECT to_regclass('public.operations_restoretrial') IS NOT NULL"
_ADD = "INSERT INTO public.operations_restoretrial (dump, seconds, failure) VALUES (%s, %s, %s)"
_READ = """
SELECT clock_timestamp(), (SELECT max(tried_at) FROM public.operations_restoretrial WHERE failure = ''),
  latest.dump, latest.tried_at, latest.seconds, latest.failure
FROM (SELECT) AS always LEFT JOIN LATERAL (
  SELECT * FROM public.operations_restoretrial ORDER BY tried_at DESC, id DESC LIMIT 1) AS latest ON true
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """`failure` is empty where the copy was the same to the last character."""

    dump: str
    tried_at: datetime
    seconds: float
    failure: str


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What the record says at the moment `now` of the database's clock."""

    now: datetime
    passed_at: datetime | None
    latest: Trial | None


@contextmanager
def recorded(session: Session, dump: Path) -> Iterator[None]:
    """Record how the block ends, over the owner's session. What was stopped on the way is no trial."""
    began = time.monotonic()
    try:
        yield
    except (OperationError, psycopg.Error, OSError) as problem:
        if not session.closed:
            reason = " ".join(str(problem).split())[:LONGEST_REASON] or type(problem).__name__
            _add(session, dump, time.monotonic() - began, reason)
        raise
    _add(session, dump, time.monotonic() - began, "")


def read_record(session: Session) -> TrialRecord:
    """Return what the record says. The session is the owner's."""
    if not _has_record(session):
        row = session.execute("SELECT clock_timestamp(), NULL, NULL").fetchone()
    else:
        row = session.execute(_READ).fetchone()
    assert row is not None  # noqa: S101 -- a query without a FROM that could be empty
    now, passed_at, *latest = row
    return TrialRecord(now, passed_at, Trial(*latest) if latest[0] is not None else None)


def _add(session: Session, dump: Path, seconds: float, failure: str) -> None:
    if _has_record(session):
        session.execute(_ADD, [dump.name, seconds, failure])


def _has_record(session: Session) -> bool:
    return session.execute(_HAS_RECORD).fetchone() == (True,)
