"""Jobs are rows: a process claims one, does it, then settles it. After a failure it waits, each time twice as long.

Why no library does this: `docs/decisions/0035-jobs-are-rows-of-their-own-tables.md`.
"""

from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import F, Model, QuerySet
from django.db.transaction import atomic

from carecollective.core.database import ClockTimestamp

Job = TypeVar("Job", bound=Model)


def claim(waiting: QuerySet[Job], *, lease: timedelta, at_most: int = 1, **changes: Any) -> list[Job]:
    """Claim the jobs that have been due for longest, and count a try of each.

    The model has `attempts` and `next_try_at`. The jobs are returned as they were before the claim. A process that is
    killed loses none: they are due again after the lease, which must be longer than any try.

    Args:
        waiting: The jobs that are neither done nor given up.
        lease: For how long nobody else may claim them.
        at_most: How many to claim.
        changes: More columns to set.
    """
    due = waiting.filter(next_try_at__lte=ClockTimestamp()).order_by("next_try_at", "pk")
    with atomic():
        jobs = list(due.select_for_update(skip_locked=True, of=("self",))[:at_most])
        claimed = waiting.model._default_manager.filter(pk__in=[job.pk for job in jobs])
        claimed.update(attempts=F("attempts") + 1, next_try_at=ClockTimestamp() + lease, **changes)
    return jobs


def pause_after(failures: int, *, first: timedelta, longest: timedelta) -> timedelta:
    """Return how long to wait before the next try, after so many failures in a row."""
    return min(first * (1 << min(failures - 1, 20)), longest)
