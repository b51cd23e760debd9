"""How much waits for somebody, and since when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, QuerySet


@dataclass(frozen=True, slots=True)
class Waiting:
    """The number of things that wait, when the oldest came and when the newest; both None where nothing waits."""

    count: int
    oldest: datetime | None
    newest: datetime | None


def measure_waiting(rows: QuerySet[Any], since: str = "created_at") -> Waiting:
    """Measure these rows. The field `since` says when each came."""
    return Waiting(**rows.order_by().aggregate(count=Count("pk"), oldest=Min(since), newest=Max(since)))
