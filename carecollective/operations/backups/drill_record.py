"""The record of restore drills: which backup was restored, when, and how that ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from carecollective.operations.connections import Session
from carecollective.operations.errors import OperationError
from carecollective.postgres.roles import fetch_value

# The reason goes to staff by mail and chat, where its beginning is enough.
LONGEST_REASON = 300

# A database that is not migrated yet has no record.
_HAS_RECORD = "SELECT to_regclass('public.operations_restoretrial') IS NOT NULL"
_ADD = "INSERT INTO public.operations_restoretrial (dump, seconds, failure) VALUES (%s, %s, %s)"
_READ = """
SELECT clock_timestamp(), (SELECT max(tried_at) FROM public.operations_restoretrial WHERE failure = ''),
  latest.dump, latest.tried_at, latest.seconds, latest.failure
FROM (SELECT) AS always LEFT JOIN LATERAL (
  SELECT * FROM public.operations_restoretrial ORDER BY tried_at DESC, id DESC LIMIT 1) AS latest ON true
"""


@dataclass(frozen=True, slots=True)
class Drill:
    """`failure` is empty if the copy was identical."""

    dump: str
    tried_at: datetime
    seconds: float
    failure: str


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """The record at `now`, by the database's clock."""

    now: datetime
    passed_at: datetime | None
    latest: Drill | None


@contextmanager
def recording_drill(session: Session, dump: Path) -> Iterator[None]:
    """Record how the block ends, over the owner's session. A drill that is stopped from outside is not recorded."""
    began = time.monotonic()
    try:
        yield
    except (OperationError, psycopg.Error, OSError) as problem:
        if not session.closed:
            reason = " ".join(str(problem).split())[:LONGEST_REASON] or type(problem).__name__
            _add(session, dump, time.monotonic() - began, reason)
        raise
    _add(session, dump, time.monotonic() - began, "")


def read_record(session: Session) -> DrillRecord:
    """Return the record, read over the owner's session."""
    if not _has_record(session):
        row = session.execute("SELECT clock_timestamp(), NULL, NULL").fetchone()
    else:
        row = session.execute(_READ).fetchone()
    assert row is not None  # noqa: S101 -- a query without a FROM that could be empty
    now, passed_at, *latest = row
    return DrillRecord(now, passed_at, Drill(*latest) if latest[0] is not None else None)


def _add(session: Session, dump: Path, seconds: float, failure: str) -> None:
    if _has_record(session):
        session.execute(_ADD, [dump.name, seconds, failure])


def _has_record(session: Session) -> bool:
    return fetch_value(session, _HAS_RECORD) is True
