"""Counts the V2 conversations that break an invariant. The guard sees counts only, no conversation."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import OperationalError, connection

logger = logging.getLogger(__name__)

# A full count may take this share of the guard's time, so a large site is counted less often.
SHARE_OF_TIME = 0.02
AFTER_A_TIME_OUT = 600.0
# Recent changes are counted again for so long: a row is dated before its transaction commits.
OVERLAP = 60.0


def count_broken(
    *, changed_in_seconds: float | None = None, on: "psycopg.Connection[Any] | None" = None
) -> Mapping[str, int]:
    """Count broken conversations by invariant, among the recently changed ones or among all."""
    with (on or connection).cursor() as cursor:
        cursor.execute(
            "SELECT invariant, broken FROM public.rollout_broken_conversations("
            "coalesce(clock_timestamp() - make_interval(secs => %s), timestamptz '-infinity'))",
            [changed_in_seconds],
        )
        return {name: count for name, count in cursor.fetchall() if count}


class Inspector:
    """Counts recent changes every time, and everything as often as that is cheap."""

    def __init__(self) -> None:
        self.everything_due = float("-inf")
        self.looked_at = float("-inf")
        self.known: Mapping[str, int] = {}

    def look(self) -> Mapping[str, int]:
        """Return the broken conversations by invariant, as far as known."""
        began = time.monotonic()
        if began < self.everything_due and count_broken(changed_in_seconds=began - self.looked_at + OVERLAP):
            # Only a full count tells whether there are more than before.
            self.everything_due = began
        if began >= self.everything_due:
            self._count_everything()
        self.looked_at = began
        return self.known

    def _count_everything(self) -> None:
        began = time.monotonic()
        try:
            self.known = count_broken()
        except OperationalError as problem:
            if not connection.is_usable():
                raise
            logger.warning("The conversations could not all be counted (%s).", type(problem).__name__)
            self.everything_due = time.monotonic() + AFTER_A_TIME_OUT
        else:
            took = time.monotonic() - began
            self.everything_due = time.monotonic() + took / SHARE_OF_TIME
