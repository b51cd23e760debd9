"""Health checks: whether this host can serve members, answered within five seconds in any case."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from uuid import uuid4

from django.apps import apps
from django.db import OperationalError, connection, transaction
from django.db.utils import Error as DatabaseError
from psycopg import errors as postgres_errors

from carecollective.core.database import fetch_all, fetch_one
from carecollective.postgres.backend.base import DatabaseWrapper
from carecollective.postgres.dsn import CONNECT_SECONDS

WORKER_SILENCE_SECONDS = 30
# How long all checks may take. With CONNECT_SECONDS it stays well below the five seconds.
ANSWER_SECONDS = 2.5
# A process writes no more often than this, however often it is asked.
WRITE_EVERY_SECONDS = 1.0
# Nearly a page of the table, so that the write needs space on the disk.
FILLER = "x" * 7000

Check = Callable[[], dict[str, Any]]


class HealthStatus(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # members are served, but the worker or the guard is missing
    FAILING = "failing"  # this host cannot serve members


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The result of each check by name, and the status that follows."""

    status: HealthStatus
    checks: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _RegisteredCheck:
    check: Check
    is_essential: bool
    unknown: Mapping[str, Any]


_registered: dict[str, _RegisteredCheck] = {}
_optional_tables: set[str] = set()
_last_write = float("-inf")


def register(
    name: str, check: Check, *, is_essential: bool, unknown: Mapping[str, Any], tables: Iterable[str] = ()
) -> None:
    """Add a check, which returns at least `ok` and may raise the database's errors.

    When an essential check fails, this host cannot serve members; when another one fails, it is degraded. `unknown` holds
    the check's values beside `ok` for a database that does not answer. `tables` are covered by this check alone.
    """
    _registered[name] = _RegisteredCheck(check, is_essential, unknown)
    _optional_tables.update(tables)


def read() -> HealthReport:
    """Run every check within the time limit."""
    checks: dict[str, Mapping[str, Any]] = {}
    with _time_limit() as deadline:
        checks["database"] = _check_database(deadline)
        for name, registered in _registered.items():
            checks[name] = {"ok": False, **registered.unknown}
            if connection.connection is not None and time.monotonic() < deadline:
                with suppress(DatabaseError):
                    checks[name] = registered.check()
    essential = ("database", *(name for name, one in _registered.items() if one.is_essential))
    if not all(checks[name]["ok"] for name in essential):
        return HealthReport(HealthStatus.FAILING, checks)
    return HealthReport(
        HealthStatus.OK if all(check["ok"] for check in checks.values()) else HealthStatus.DEGRADED, checks
    )


def _check_database(deadline: float) -> dict[str, Any]:
    try:
        _connect(deadline)
        _write()
        missing = _find_missing_tables()
    except DatabaseError as problem:
        return {"ok": False, "message": _describe(problem)}
    if missing:
        return {"ok": False, "message": f"Tables are missing: {', '.join(missing)}. Restore the newest backup."}
    return {"ok": True}


def _write() -> None:
    """Write a row, roll it back and commit. It fails on a standby, a full disk or a lock."""
    global _last_write  # noqa: PLW0603 -- of this process
    if time.monotonic() - _last_write < WRITE_EVERY_SECONDS:
        fetch_one("SELECT 1")
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        attempt = transaction.savepoint()
        cursor.execute("INSERT INTO core_writeprobe (id, filler) VALUES (%s, %s)", [uuid4(), FILLER])
        transaction.savepoint_rollback(attempt)
    _last_write = time.monotonic()


def _find_missing_tables() -> list[str]:
    """Return the missing tables, without those that a check of their own covers."""
    models = apps.get_models(include_auto_created=True)
    needed = {model._meta.db_table for model in models} - _optional_tables
    missing = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NULL"
    return [name for (name,) in fetch_all(missing, [sorted(needed)])]


def read_heartbeat() -> tuple[float | None, list[str]]:
    """Return how many seconds ago the worker gave a sign of life, None if never, and its tasks that hang."""
    row = fetch_one(
        "SELECT extract(epoch FROM clock_timestamp() - beat_at)::float, stuck_tasks"
        " FROM core_workerheartbeat WHERE name = 'worker'"
    )
    return (row[0], row[1].split()) if row else (None, [])


def _check_worker() -> dict[str, Any]:
    age, stuck = read_heartbeat()
    silence = None if age is None else round(age, 1)
    found: dict[str, Any] = {"ok": not stuck, "seconds_since_beat": silence}
    if stuck:
        found |= {"stuck_tasks": stuck, "message": "The worker has tasks that do not end."}
    if silence is None or silence >= WORKER_SILENCE_SECONDS:
        found |= {"ok": False, "message": "No worker is running: no mail and no alert leaves the site."}
    return found


_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (postgres_errors.ReadOnlySqlTransaction, "The database takes no writes: it is read-only or a standby."),
    (postgres_errors.DiskFull, "The database takes no writes: its disk is full."),
    (postgres_errors.LockNotAvailable, "The database takes no writes: somebody holds a lock."),
    (postgres_errors.QueryCanceled, "The database answers too slowly."),
)

register("worker", _check_worker, is_essential=False, unknown={"seconds_since_beat": None})


def _describe(problem: DatabaseError) -> str:
    """Describe a database error in one sentence of ours: its own text may hold names and addresses."""
    for kind, sentence in _SENTENCES:
        if isinstance(problem.__cause__, kind):
            return sentence
    return "The database cannot be reached, does not answer, or has no connection left."


@contextmanager
def _time_limit() -> Iterator[float]:
    """Let the thread's connection open quickly and answer within ANSWER_SECONDS; yield the end of that time.

    PostgreSQL's own time limits do not help when a server or a network stops altogether.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    settings = connection.settings_dict
    connection.settings_dict = {**settings, "OPTIONS": {**settings["OPTIONS"], "connect_timeout": CONNECT_SECONDS}}
    try:
        with cast("DatabaseWrapper", connection).answering_until(deadline):
            yield deadline
    finally:
        connection.settings_dict = settings


def _connect(deadline: float) -> None:
    """Open a connection unless a usable one is open. Raises the database's errors."""
    if connection.connection is not None and not connection.is_usable():
        connection.close()
        if time.monotonic() >= deadline:
            raise OperationalError
    connection.ensure_connection()
    # It was checked just now; Django would check it again.
    connection.health_check_done = True  # type: ignore[attr-defined]  # which the stubs do not know
