"""Whether this host can serve members, found out within five seconds whatever the database does."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.db.utils import Error as DatabaseError
from psycopg import errors as postgres_errors

from carecollective.postgres.dsn import CONNECT_SECONDS

WORKER_SILENCE_SECONDS = 30
# What one that stops answering costs; with CONNECT_SECONDS well below the five seconds in which we answer.
ANSWER_SECONDS = 2.5
CUT_AGAIN_SECONDS = 0.1
# Anybody may ask as often as they like: a process writes no more often than this.
WRITE_EVERY_SECONDS = 1.0
# Most of a page of the probe's table, so that a try needs room on the disk.
FILLER = "x" * 7000

Check = Callable[[], dict[str, Any]]


class Status(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # members are served, and something that looks after the site is missing
    FAILING = "failing"  # this host cannot serve members


@dataclass(frozen=True, slots=True)
class Report:
    """What each check found, by name, and what follows from all of them."""

    status: Status
    checks: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Part:
    check: Check
    is_essential: bool
    unknown: Mapping[str, Any]


_parts: dict[str, _Part] = {}
_dispensable: set[str] = set()
_last_write = float("-inf")


def register(
    name: str, check: Check, *, is_essential: bool, unknown: Mapping[str, Any], tables: Iterable[str] = ()
) -> None:
    """Add a check, which returns at least `ok` and may raise what the database raises.

    Without an essential part this host cannot serve members; any other that is missing is only named. `unknown` is what
    the check says beside `ok` when the database does not answer. `tables` are those that this check alone answers for.
    """
    _parts[name] = _Part(check, is_essential, unknown)
    _dispensable.update(tables)


def read() -> Report:
    """Run every check, and give up on a database that does not answer."""
    checks: dict[str, Mapping[str, Any]] = {}
    with _Patience() as patience:
        checks["database"] = _check_database(patience)
        for name, part in _parts.items():
            checks[name] = {"ok": False, **part.unknown}
            if connection.connection is not None and not patience.is_over:
                with suppress(DatabaseError):
                    checks[name] = part.check()
    essential = ("database", *(name for name, part in _parts.items() if part.is_essential))
    if not all(checks[name]["ok"] for name in essential):
        return Report(Status.FAILING, checks)
    return Report(Status.OK if all(check["ok"] for check in checks.values()) else Status.DEGRADED, checks)


def _check_database(patience: "_Patience") -> dict[str, Any]:
    try:
        patience.connect()
        _write()
        missing = _find_missing_tables()
    except DatabaseError as problem:
        return {"ok": False, "message": _describe(problem)}
    if missing:
        return {"ok": False, "message": f"Tables are missing: {', '.join(missing)}. Restore the newest backup."}
    return {"ok": True}


def _write() -> None:
    """Write a row, take it back and commit: a standby, a full disk and a lock refuse that."""
    global _last_write  # noqa: PLW0603 -- the process's own pace
    if time.monotonic() - _last_write < WRITE_EVERY_SECONDS:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        attempt = transaction.savepoint()
        cursor.execute("INSERT INTO core_writeprobe (id, filler) VALUES (%s, %s)", [uuid4(), FILLER])
        transaction.savepoint_rollback(attempt)
    _last_write = time.monotonic()


def _find_missing_tables() -> list[str]:
    """Name the tables that were dropped beneath us and that members cannot be served without."""
    models = apps.get_models(include_auto_created=True)
    needed = {model._meta.db_table for model in models} - _dispensable
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NULL", [sorted(needed)]
        )
        return [name for (name,) in cursor.fetchall()]


def _check_worker() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - beat_at)::float, stuck_tasks"
            " FROM core_workerheartbeat WHERE name = 'worker'"
        )
        row = cursor.fetchone()
    silence, stuck = (round(row[0], 1), row[1].split()) if row else (None, [])
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
    """Say in one sentence what is wrong, never in the database's words: they may hold names and addresses."""
    for kind, sentence in _SENTENCES:
        if isinstance(problem.__cause__, kind):
            return sentence
    return "The database cannot be reached, does not answer, or has no connection left."


class _Patience:
    """A block in which this thread's connection is opened quickly, and cut once the block has taken too long.

    PostgreSQL's own time limits do not help against a server, or a network, that stops altogether.
    """

    def __enter__(self) -> "_Patience":
        self._connection = connections[DEFAULT_DB_ALIAS]
        self._settings = self._connection.settings_dict
        options = {**self._settings["OPTIONS"], "connect_timeout": CONNECT_SECONDS}
        self._connection.settings_dict = {**self._settings, "OPTIONS": options}
        self._done = threading.Event()
        self._deadline = time.monotonic() + ANSWER_SECONDS
        self._watch = threading.Thread(target=self._cut_when_over, name="health-patience", daemon=True)
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._watch.join()
        self._connection.settings_dict = self._settings

    def connect(self) -> None:
        """See that there is a connection that answers, or raise what the database raises."""
        held = self._connection
        if held.connection is not None and not held.is_usable():
            held.close()
            if self.is_over:
                raise OperationalError
        held.ensure_connection()
        # Django would look once more whether it answers.
        held.health_check_done = True  # type: ignore[attr-defined]  # which the stubs do not know

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._deadline

    def _cut_when_over(self) -> None:
        if self._done.wait(ANSWER_SECONDS):
            return
        while True:
            # The socket alone: the connection belongs to the thread that waits, which hears of its end at once.
            with suppress(Exception), socket.socket(fileno=os.dup(self._connection.connection.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)
            if self._done.wait(CUT_AGAIN_SECONDS):
                return
