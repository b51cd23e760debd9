"""Whether the parts that the site stands on are working."""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.utils import Error as DatabaseError

WORKER_SILENCE_SECONDS = 30

Check = Callable[[], dict[str, Any]]
_registered: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Add a check of another app's; it returns at least `ok`, and never raises."""
    _registered[name] = check


def checks() -> dict[str, dict[str, Any]]:
    """Run every check and return what each found, by name."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM clock_timestamp() - beat_at)::float, stuck_tasks"
                " FROM core_workerheartbeat WHERE name = 'worker'"
            )
            row = cursor.fetchone()
        database = {"ok": True}
        silence, stuck = (round(row[0], 1), row[1].split()) if row else (None, [])
        is_heard = silence is not None and silence < WORKER_SILENCE_SECONDS
        worker = {"ok": is_heard and not stuck, "seconds_since_beat": silence}
        if stuck:
            worker["stuck_tasks"] = stuck
    except DatabaseError:
        database = {"ok": False}
        worker = {"ok": False, "seconds_since_beat": None}
    return {"database": database, "worker": worker, **{name: check() for name, check in _registered.items()}}
