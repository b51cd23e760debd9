"""How much waits for somebody, and since when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from carecollective.core.database import fetch_all


@dataclass(frozen=True, slots=True)
class Waiting:
    """The number of things that wait, when the oldest came and when the newest; both None where nothing waits."""

    count: int
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingQuery:
    """A query of one column and one row for each thing that waits: when it came."""

    sql: str
    values: Sequence[Any] = ()


def when_they_came(rows: QuerySet[Any], field: str = "created_at") -> WaitingQuery:
    """Ask this field of each row."""
    return WaitingQuery(*rows.order_by().values_list(field).query.sql_with_params())


def measure_waiting(query: WaitingQuery) -> Waiting:
    """Measure what this query finds."""
    return measure_each({"": query})[""]


def measure_each(queries: Mapping[str, WaitingQuery]) -> dict[str, Waiting]:
    """Measure what each of these queries finds, all in one statement."""
    measure = "SELECT %s, count(*), min(came_at), max(came_at) FROM ({}) AS waiting (came_at)"
    statement = " UNION ALL ".join(measure.format(query.sql) for query in queries.values())
    values = [value for name, query in queries.items() for value in (name, *query.values)]
    return {name: Waiting(*measured) for name, *measured in fetch_all(statement, values)}
