"""Each serving process records the flag's version that it knows: a rollback sees when all have switched.

A process writes on the connection on which it follows the flag, never on a request's. Only reading goes through Django.
"""

import logging
import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any, NamedTuple

import psutil
import psycopg

from carecollective.core.database import fetch_all
from carecollective.formats.moments import moment
from carecollective.postgres.bounded import BoundedConnection
from rollout import formatting
from rollout.targeting.connections import connection_parameters
from rollout.targeting.state import environment_disables

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
# A heartbeat plus the five seconds that a snapshot is valid: after that, a silent process starts nothing in V2.
SILENT_SECONDS = 15.0
GONE_SECONDS = 60.0
POLL_SECONDS = 0.05

ACKNOWLEDGE = """
INSERT INTO public.rollout_process AS known (key, flag_version, switched_at, seen_at, backend_pid, held_off)
VALUES (%s, %s, clock_timestamp(), clock_timestamp(), pg_backend_pid(), %s)
ON CONFLICT (key) DO UPDATE SET
    switched_at = CASE WHEN known.flag_version = excluded.flag_version THEN known.switched_at ELSE clock_timestamp() END,
    flag_version = excluded.flag_version, seen_at = clock_timestamp(), backend_pid = excluded.backend_pid,
    held_off = excluded.held_off
"""
# PostgreSQL reuses the pid of an ended session.
PRUNE = """
DELETE FROM public.rollout_process WHERE key IN (
    SELECT key FROM public.rollout_process
    WHERE seen_at < clock_timestamp() - make_interval(secs => %s) OR (backend_pid = pg_backend_pid() AND key <> %s)
    FOR UPDATE SKIP LOCKED
)
"""
READ = """
SELECT key, flag_version, switched_at, extract(epoch FROM clock_timestamp() - seen_at)::float8, held_off,
    backend_pid IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS session WHERE session.pid = backend_pid)
FROM public.rollout_process WHERE seen_at >= clock_timestamp() - make_interval(secs => %s) ORDER BY key
"""


@dataclass(frozen=True, slots=True)
class Switch:
    """Which serving processes know the present version of the flag."""

    flag_version: int
    switched: int
    waiting: tuple[str, ...]
    silent: tuple[str, ...]  # no heartbeat for so long that they keep V2 off by themselves
    held_off: tuple[str, ...]  # their environment says MESSAGING_V2_ROLLOUT=disabled, whatever the stage
    last_at: datetime | None
    words: str

    @property
    def serving(self) -> int:
        """How many processes serve."""
        return self.switched + len(self.waiting) + len(self.silent)


def acknowledge(follower: "psycopg.Connection[Any]", *, version: int) -> None:
    """Record that this process knows `version`: at once when it is new, else every ten seconds. Never raises."""
    pid, now = os.getpid(), time.monotonic()
    told = _told.get(pid)
    try:
        session = follower.info.backend_pid
        if pid in _left or (told is not None and told[:2] == (version, session) and now - told[2] < HEARTBEAT_SECONDS):
            return
        with follower.transaction():
            # A locked table must not keep the process from following the flag.
            follower.execute("SET LOCAL lock_timeout = '200ms'")
            follower.execute(ACKNOWLEDGE, [process_key(), version, environment_disables()])
            follower.execute(PRUNE, [GONE_SECONDS, process_key()])
    except psycopg.Error as error:
        logger.debug("This process could not acknowledge version %s (%s).", version, type(error).__name__)
    else:
        _told[pid] = version, session, now


def leave() -> None:
    """Remove this process, which is about to end. Never raises."""
    _left.add(os.getpid())
    try:
        with BoundedConnection.connect(**connection_parameters(application_name="carecollective-leaving")) as session:
            session.execute("SET LOCAL lock_timeout = '200ms'")
            session.execute("DELETE FROM public.rollout_process WHERE key = %s", [process_key()])
    except psycopg.Error as error:
        logger.debug("This process could not say that it ends (%s).", type(error).__name__)


def process_key() -> str:
    """Return this process's key: host, pid, and a random part, because pids are reused."""
    pid = os.getpid()
    if pid not in _keys:
        _keys.clear()
        _keys[pid] = f"{socket.gethostname()}:{pid}:{token_hex(4)}"
    return _keys[pid]


class _Row(NamedTuple):
    key: str
    version: int
    switched_at: datetime
    silent_seconds: float
    held_off: bool
    has_session: bool

    @property
    def is_silent(self) -> bool:
        return self.silent_seconds > SILENT_SECONDS


def read_switch(*, version: int) -> Switch:
    """Tell which serving processes know `version` of the flag or a later one.

    A process whose session is gone has ended, or has only lost its connection. Unless it surely ended, it counts as waiting
    until it must have turned V2 off by itself.
    """
    rows = [_Row(*row) for row in fetch_all(READ, [GONE_SECONDS])]
    alive = [
        row
        for row in rows
        if row.has_session or (row.version < version and not row.is_silent and not _has_ended(row.key))
    ]
    behind = [row for row in alive if row.version < version]
    waiting = tuple(row.key for row in behind if not row.is_silent)
    silent = tuple(row.key for row in behind if row.is_silent)
    held_off = tuple(row.key for row in alive if row.held_off)
    switched = len(alive) - len(behind)
    last_at = max((row.switched_at for row in alive if row.version >= version), default=None)
    return Switch(
        flag_version=version,
        switched=switched,
        waiting=waiting,
        silent=silent,
        held_off=held_off,
        last_at=last_at,
        words=_describe(switched, len(waiting), len(silent), last_at) + _describe_held_off(len(held_off), len(alive)),
    )


def wait_for_switch(*, version: int, seconds: float = 2.0) -> Switch:
    """Wait up to `seconds` until no process is behind `version`, and return who has switched."""
    deadline = time.monotonic() + seconds
    while (switch := read_switch(version=version)).waiting and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return switch


def _has_ended(key: str) -> bool:
    """Tell whether the process ran on this host and is gone."""
    host, pid, _drawn = key.rsplit(":", 2) if key.count(":") >= 2 else ("", "", "")
    return host == socket.gethostname() and pid.isdecimal() and not psutil.pid_exists(int(pid))


def _describe_held_off(held_off: int, total: int) -> str:
    if not held_off:
        return ""
    who = "All of them hold" if held_off == total else f"{held_off} of {total} {'holds' if held_off == 1 else 'hold'}"
    return f" {who} V2 off, because their environment says MESSAGING_V2_ROLLOUT=disabled."


def _describe(switched: int, waiting: int, silent: int, last_at: datetime | None) -> str:
    total = switched + waiting + silent
    if not total:
        return "No serving process follows the flag at the moment."
    if switched == total:
        said = f"All servers have switched ({formatting.count(total, 'process', 'processes')})"
        return said + (f", the last at {moment(last_at, 'millisecond')}." if last_at else ".")
    said = f"{switched} of {formatting.count(total, 'server process', 'server processes')} {_has(switched)} switched."
    if waiting:
        said += f" {waiting} {_has(waiting)} not said so yet."
    if silent:
        starts = "starts" if silent == 1 else "start"
        said += f" {silent} {_has(silent)} not been heard from for over {SILENT_SECONDS:.0f} seconds and {starts} nothing in V2."
    return said


def _has(number: int) -> str:
    return "has" if number == 1 else "have"


# Keyed by pid: a fork inherits them, and must not act as its parent.
_keys: dict[int, str] = {}
_told: dict[int, tuple[int, int, float]] = {}
_left: set[int] = set()
