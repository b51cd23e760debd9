"""Each serving process says which version of the flag it knows, so that a rollback can tell when the last one had switched.

A process tells by the connection on which it follows the flag, never on a request's; only reading goes through Django.
"""

import logging
import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any

import psycopg
from django.db import connection

logger = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
# A process silent for longer than a beat and the five seconds that a snapshot is good for starts nothing in V2 any more.
SILENT_SECONDS = 15.0
GONE_SECONDS = 60.0
POLL_SECONDS = 0.05

TELL = """
INSERT INTO public.rollout_process AS known (key, flag_version, switched_at, seen_at)
VALUES (%s, %s, clock_timestamp(), clock_timestamp())
ON CONFLICT (key) DO UPDATE SET
    switched_at = CASE WHEN known.flag_version = excluded.flag_version THEN known.switched_at ELSE clock_timestamp() END,
    flag_version = excluded.flag_version, seen_at = clock_timestamp()
"""
PRUNE = """
DELETE FROM public.rollout_process WHERE key IN (
    SELECT key FROM public.rollout_process WHERE seen_at < clock_timestamp() - make_interval(secs => %s)
    FOR UPDATE SKIP LOCKED
)
"""
READ = """
SELECT key, flag_version, switched_at, extract(epoch FROM clock_timestamp() - seen_at)::float8
FROM public.rollout_process WHERE seen_at >= clock_timestamp() - make_interval(secs => %s) ORDER BY key
"""


@dataclass(frozen=True, slots=True)
class Switch:
    """How far the serving processes have come to know the present version of the row."""

    flag_version: int
    switched: int
    waiting: tuple[str, ...]
    silent: tuple[str, ...]  # not heard from for so long that they hold V2 off by themselves
    last_at: datetime | None
    words: str


def acknowledge(follower: "psycopg.Connection[Any]", *, version: int) -> None:
    """Tell that this process knows `version`: at once when it is new, and every ten seconds in any case. Never raises."""
    told, now = _told.get(os.getpid()), time.monotonic()
    if told is not None and told[0] == version and now - told[1] < BEAT_SECONDS:
        return
    try:
        with follower.transaction():
            # A locked table must not make the process deaf to the flag itself.
            follower.execute("SET LOCAL lock_timeout = '200ms'")
            follower.execute(TELL, [process_key(), version])
            follower.execute(PRUNE, [GONE_SECONDS])
    except psycopg.Error as error:
        logger.debug("This process could not acknowledge version %s (%s).", version, type(error).__name__)
    else:
        _told[os.getpid()] = version, now


def process_key() -> str:
    """Name this process for as long as it lives: host, number, and something that a later process would not draw again."""
    pid = os.getpid()
    if pid not in _keys:
        _keys.clear()
        _keys[pid] = f"{socket.gethostname()}:{pid}:{token_hex(4)}"
    return _keys[pid]


def read_switch(*, version: int) -> Switch:
    """Tell which of the processes that were heard from in the last minute know `version` of the flag or a later one."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [GONE_SECONDS])
        rows = cursor.fetchall()
    switched = [at for _, known, at, _ in rows if known >= version]
    waiting = tuple(key for key, known, _, age in rows if known < version and age <= SILENT_SECONDS)
    silent = tuple(key for key, known, _, age in rows if known < version and age > SILENT_SECONDS)
    last_at = max(switched, default=None)
    return Switch(
        flag_version=version,
        switched=len(switched),
        waiting=waiting,
        silent=silent,
        last_at=last_at,
        words=_words(len(switched), len(waiting), len(silent), f"{last_at:%H:%M:%S.%f}"[:-3] if last_at else ""),
    )


def wait_for_switch(*, version: int, seconds: float = 2.0) -> Switch:
    """Wait until no process is behind `version`, at most so long, and tell how far they came."""
    deadline = time.monotonic() + seconds
    while (switch := read_switch(version=version)).waiting and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return switch


def _words(switched: int, waiting: int, silent: int, last: str) -> str:
    if not switched and not waiting and not silent:
        return "No serving process follows the flag at the moment."
    said = f"{switched} of {switched + waiting + silent} serving processes know the present state"
    said += f", the last one since {last} UTC." if last and not waiting and not silent else "."
    if waiting:
        said += f" {waiting} have not said so yet."
    if silent:
        said += f" {silent} have not been heard from for over {SILENT_SECONDS:.0f} seconds and so start nothing in V2."
    return said


# Keyed by process: a fork inherits both and must not pass for its parent.
_keys: dict[int, str] = {}
_told: dict[int, tuple[int, float]] = {}
