"""The playbook's metrics, counted in SQL over `application_logs`. Every function only reads.

An event is a success, a failure of the system, or a refusal: the member's own doing or a rule at work (validation, own
request, duplicate, closed, rate limit). Refusals are counted and shown, but are part of no rate.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import ProgrammingError, transaction

from carecollective.core.database import fetch_all
from carecollective.postgres.roles import STATEMENT_TIMEOUT_MS
from rollout.telemetry.outcomes import EXPECTED_REFUSALS, OUTCOME_OF_LEVEL, Method, Outcome

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """The last so many seconds, by the database's clock."""

    seconds: float

    def condition(self) -> tuple[str, list[Any]]:
        return "timestamp > clock_timestamp() - make_interval(secs => %s)", [self.seconds]


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment until before another, or until now. `resumed_at` adds a second part, from there until now."""

    start: datetime
    end: datetime | None = None
    resumed_at: datetime | None = None

    def condition(self) -> tuple[str, list[Any]]:
        if self.end is None:
            return "timestamp >= %s", [self.start]
        if self.resumed_at is None:
            return "timestamp >= %s AND timestamp < %s", [self.start, self.end]
        return "((timestamp >= %s AND timestamp < %s) OR timestamp >= %s)", [self.start, self.end, self.resumed_at]


Period = Window | Span


@dataclass(frozen=True, slots=True)
class Proportion:
    """So many of so many. Its `share`, from 0 to 1, is None where there were none."""

    numerator: int
    denominator: int

    @property
    def share(self) -> float | None:
        return self.numerator / self.denominator if self.denominator else None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How operations ended. Refused ones count in neither rate."""

    succeeded: int = 0
    failed: int = 0
    refused: int = 0

    @property
    def trials(self) -> int:
        return self.succeeded + self.failed

    @property
    def successes(self) -> Proportion:
        return Proportion(self.succeeded, self.trials)

    @property
    def failures(self) -> Proportion:
        return Proportion(self.failed, self.trials)


NOTHING, NONE_OF_NONE = Outcomes(), Proportion(0, 0)


@dataclass(frozen=True, slots=True)
class Latency:
    """The 95th percentile in milliseconds, interpolated; None of no calls."""

    p95_ms: float | None
    calls: int


@dataclass(frozen=True, slots=True)
class SlowCalls:
    """Calls over a limit, refused ones too: the database is slow for those as well."""

    count: int
    calls: int
    slowest_ms: float | None


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How often one error code came, out of all operations of the period."""

    code: str
    count: int
    operations: int
    members_own: bool

    @property
    def share(self) -> float:
        return self.count / self.operations


@dataclass(frozen=True, slots=True)
class FailingCode:
    """One error code of the system's failures in one version, with its latest requests."""

    code: str
    version: str
    count: int
    last_at: datetime
    request_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How many operations of one method and version ended in one way, and of how many members."""

    version: str | None
    method: str
    outcome: Outcome
    code: str | None
    count: int
    members: int


@dataclass(frozen=True, slots=True)
class LatestEnding:
    """When and how one start or send ended, and for which member if known."""

    at: datetime
    outcome: Outcome
    code: str | None
    member: UUID | None


@dataclass(frozen=True, slots=True)
class Conversations:
    """How many conversations one version holds, from the tables themselves."""

    version: str
    active: int
    new_this_week: int
    new: int


def outcomes(period: Period, *, version: str | None = None, method: Method | None = None) -> Outcomes:
    """Count how the operations of a period ended."""
    (row,) = _select(_COUNTS, period, version=version, method=method)
    return Outcomes(*row)


def creation_success(period: Period, *, version: str = "v2") -> Outcomes:
    """Count how starts of conversations ended; `successes` is the playbook's creation success rate."""
    return outcomes(period, version=version, method=Method.START)


def latency_p95(period: Period, *, version: str | None = "v2") -> Latency:
    """Return the 95th percentile of how long sends took. Refused ones return early, and are left out."""
    columns = "percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms), count(*)"
    (row,) = _select(columns, period, version=version, method=Method.SEND, where=_NOT_REFUSED)
    return Latency(p95_ms=row[0], calls=row[1])


def sends_within(period: Period, milliseconds: float, *, inclusive: bool = False) -> Proportion:
    """Count the V2 sends that took less than `milliseconds`, or at most that if `inclusive`."""
    columns = f"count(*) FILTER (WHERE duration_ms {'<=' if inclusive else '<'} %s), count(*)"
    (row,) = _select(columns, period, version="v2", method=Method.SEND, where=_NOT_REFUSED, given=[milliseconds])
    return Proportion(*row)


def duration_at(period: Period, rank: int) -> float:
    """Return how many milliseconds the V2 send at a rank took; the quickest has rank 1."""
    ending = "ORDER BY duration_ms OFFSET %s LIMIT 1"
    (row,) = _select(
        "duration_ms", period, version="v2", method=Method.SEND, where=_NOT_REFUSED, ending=ending, last=[rank - 1]
    )
    return float(row[0])


def slow_calls(period: Period, *, over_ms: float = 5000) -> SlowCalls:
    """Count the calls that took over `over_ms`, or that the statement timeout ended."""
    is_slow = "duration_ms > %s OR (duration_ms >= %s AND error_code = 'database_error')"
    columns = f"count(*) FILTER (WHERE {is_slow}), count(*), max(duration_ms)"
    (row,) = _select(columns, period, given=[over_ms, STATEMENT_TIMEOUT_MS])
    return SlowCalls(*row)


def connection_errors(period: Period) -> int:
    """Count the starts, sends and other requests that could not reach the database."""
    (row,) = _select("count(*)", period, where="connection_error", operations="true")
    return int(row[0])


def duplicates(period: Period) -> Proportion:
    """Count the starts refused because the conversation exists, out of all starts."""
    columns = "count(*) FILTER (WHERE error_code = 'conversation_exists'), count(*)"
    (row,) = _select(columns, period, method=Method.START)
    return Proportion(*row)


def v1_creations(period: Period) -> Proportion:
    """Count the successful starts in V1, out of those in either version."""
    columns = "count(*) FILTER (WHERE version = 'v1'), count(*)"
    (row,) = _select(columns, period, method=Method.START, where="event = 'success'")
    return Proportion(*row)


def errors_by_code(period: Period) -> tuple[ErrorCount, ...]:
    """List every error code of the period, refusals included and marked, the most frequent first."""
    columns = "error_code, count(*), (sum(count(*)) OVER ())::bigint"
    ending = "GROUP BY error_code ORDER BY count(*) DESC, error_code"
    return tuple(
        ErrorCount(code=code, count=count, operations=total, members_own=code in EXPECTED_REFUSALS)
        for code, count, total in _select(columns, period, ending=ending)
        if code is not None
    )


def failures_by_code(period: Period, *, requests: int = 3) -> tuple[FailingCode, ...]:
    """List the system's failures by code and version, with the latest `requests` of each."""
    columns = (
        "error_code, coalesce(version, ''), count(*), max(timestamp),"
        " (array_agg(request_id ORDER BY timestamp DESC, id DESC) FILTER (WHERE request_id <> ''))[1:%s]"
    )
    ending = "GROUP BY error_code, version ORDER BY count(*) DESC, error_code, version"
    rows = _select(columns, period, given=[requests], where="log_level = 'error'", ending=ending)
    return tuple(
        FailingCode(code or "unknown", version, count, last_at, tuple(ids or ()))
        for code, version, count, last_at, ids in rows
    )


def endings(period: Period) -> tuple[Ending, ...]:
    """Count how starts and sends ended, by version, method, outcome and code."""
    columns = "version, method, log_level, error_code, count(*), count(DISTINCT user_id)"
    return tuple(
        Ending(version, method, OUTCOME_OF_LEVEL[level], code, count, members)
        for version, method, level, code, count, members in _select(columns, period, ending="GROUP BY 1, 2, 3, 4")
    )


def latest_endings(period: Period, *, version: str | None = None, limit: int) -> tuple[LatestEnding, ...]:
    """List how the latest starts and sends ended, the latest first."""
    ending = "ORDER BY timestamp DESC, id DESC LIMIT %s"
    rows = _select("timestamp, log_level, error_code, user_id", period, version=version, ending=ending, last=[limit])
    return tuple(LatestEnding(at, OUTCOME_OF_LEVEL[level], code, member) for at, level, code, member in rows)


def latest_starts(period: Period, *, version: str, limit: int) -> tuple[bool, ...]:
    """Tell whether each of the latest starts in a version succeeded, the latest first. Refused ones are left out."""
    ending = "ORDER BY timestamp DESC, id DESC LIMIT %s"
    columns = "log_level = 'info'"
    rows = _select(
        columns, period, version=version, method=Method.START, where=_NOT_REFUSED, ending=ending, last=[limit]
    )
    return tuple(bool(row[0]) for row in rows)


def active_conversations(*, hours: int = 24) -> tuple[Conversations, ...]:
    """Count the conversations of each version: active now, opened this week, opened in the last `hours`.

    Returns nothing where a table is missing: the rest of the page is needed to repair that.
    """
    try:
        with transaction.atomic():
            rows = fetch_all("SELECT * FROM public.rollout_count_conversations(%s) ORDER BY version", [hours])
    except ProgrammingError as problem:
        logger.warning("The conversations could not be counted: %s", str(problem).partition("\n")[0])
        return ()
    return tuple(Conversations(*row) for row in rows)


def adoption(conversations: Iterable[Conversations]) -> Proportion:
    """Return V2's proportion of the newly opened conversations."""
    new = {found.version: found.new for found in conversations}
    return Proportion(new.get("v2", 0), sum(new.values()))


_COUNTS = (
    "count(*) FILTER (WHERE log_level = 'info'), count(*) FILTER (WHERE log_level = 'error'),"
    " count(*) FILTER (WHERE log_level = 'warn')"
)
_NOT_REFUSED = "log_level <> 'warn'"
_OPERATIONS = "method <> 'request'"


def _select(
    columns: str,
    period: Period,
    *,
    version: str | None = None,
    method: Method | None = None,
    where: str = "true",
    operations: str = _OPERATIONS,
    ending: str = "",
    given: Sequence[Any] = (),
    last: Sequence[Any] = (),
) -> list[tuple[Any, ...]]:
    # All SQL text is this module's own; values from outside are parameters.
    condition, values = period.condition()
    for column, value in (("version", version), ("method", method)):
        if value is not None:
            condition += f" AND {column} = %s"
            values = [*values, str(value)]
    query = f"SELECT {columns} FROM public.application_logs WHERE {condition} AND {operations} AND {where} {ending}"  # noqa: S608
    return fetch_all(query, [*given, *values, *last])
