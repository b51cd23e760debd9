"""The playbook's metrics over the last day, as the control room shows them: each with its number, its target and its words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils.translation import gettext as _

from rollout import formatting
from rollout.dashboard.schema import CodeCount, ConversationCount, Figure, Figures, TrendPoint
from rollout.gates.criteria import latency_limit, success_limit
from rollout.gates.proportions import FEWEST_BAD
from rollout.stages import ENABLED, Stage
from rollout.telemetry import metrics
from rollout.telemetry.metrics import Ratio, Window

HOURS = 24
DAY = Window(HOURS * 3600)
LAST_DAY = "24 hours"
# Refusals (warn) are the members' own: neither success nor failure, and quick for want of work.
TREND = """
SELECT hour.start,
    count(*) FILTER (WHERE is_start AND version = 'v2' AND log_level <> 'warn'),
    count(*) FILTER (WHERE version = 'v2' AND log_level <> 'warn'),
    count(*) FILTER (WHERE version = 'v2' AND log_level = 'error'),
    100.0 * count(*) FILTER (WHERE is_start AND version = 'v2' AND log_level = 'info')
        / NULLIF(count(*) FILTER (WHERE is_start AND version = 'v2' AND log_level <> 'warn'), 0),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms)
        FILTER (WHERE NOT is_start AND version = 'v2' AND log_level <> 'warn'),
    100.0 * count(*) FILTER (WHERE is_start AND version = 'v2' AND log_level = 'info')
        / NULLIF(count(*) FILTER (WHERE is_start AND log_level = 'info'), 0)
FROM generate_series(
    date_trunc('hour', clock_timestamp()) - make_interval(hours => %s), date_trunc('hour', clock_timestamp()), '1 hour'
) AS hour (start)
LEFT JOIN LATERAL (
    SELECT method = 'startHelpConversation' AS is_start, version, log_level, duration_ms
    FROM public.application_logs WHERE timestamp >= hour.start AND timestamp < hour.start + interval '1 hour'
) AS operation ON true
GROUP BY hour.start ORDER BY hour.start
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: as people read it, and as a test of the value.

    Under `least` operations it is not judged, and it fails from `fewest` bad ones on: 0 of 1 is chance, and so is 1 of 1.
    """

    words: str
    holds: Callable[[float], bool]
    least: int = 0
    fewest: int = 0


LEAST_SEEN = 20  # as the alerts' rules ask
NO_TARGET = Target("", lambda value: value >= 0)
NONE_AT_ALL = Target("0", lambda value: value == 0)


def read_figures(*, stage: Stage, since: datetime | None) -> Figures:
    """Read the figures of the last 24 hours, and the charts' hourly steps."""
    conversations = metrics.active_conversations(hours=HOURS)
    return Figures(
        since=since,
        figures=tuple(_figures(stage, metrics.adoption(conversations))),
        errors_by_code=tuple(
            CodeCount(found.code, found.count, round((found.share or 0.0) * 100, 2), found.members_own)
            for found in metrics.errors_by_code(DAY)
        ),
        conversations=tuple(
            ConversationCount(found.version, found.active, found.new_this_week) for found in conversations
        ),
        trend=_trend(),
    )


def _figures(stage: Stage, adopted: Ratio) -> Iterator[Figure]:
    starts, errors = metrics.creation_success(DAY), metrics.error_rate(DAY, version="v2")
    legacy, duplicates = metrics.v1_creations(DAY), metrics.duplicates(DAY)
    # What this stage's own gate asks, or the page would call off target what the gate lets pass.
    least_good = success_limit(stage) * 100
    good = Target(f"> {least_good:g}%", lambda value: value > least_good, LEAST_SEEN, FEWEST_BAD)
    below_1 = Target("< 1%", lambda value: value < 1, LEAST_SEEN, FEWEST_BAD)
    below_10 = Target("< 10%", lambda value: value < 10, LEAST_SEEN, FEWEST_BAD)
    alone = NONE_AT_ALL if stage == ENABLED else NO_TARGET
    yield _share(
        "creation_success", _("Creation success in V2"), starts.numerator, starts.denominator, good, bad=starts.failed
    )
    yield _send_latency(stage)
    yield _share("adoption", _("V2 adoption"), adopted.numerator, adopted.denominator, NO_TARGET)
    yield _share("error_rate", _("Errors in V2"), errors.numerator, errors.denominator, below_1)
    yield _share("v1_creations", _("Conversations opened in V1"), legacy.numerator, legacy.denominator, alone)
    yield _share("duplicates", _("Duplicate attempts"), duplicates.numerator, duplicates.denominator, below_10)
    slow = metrics.slow_calls(DAY)
    yield _count("slow_calls", _("Calls over 5 seconds or timed out"), slow.count, slow.calls)
    lost = metrics.connection_errors(DAY)
    yield _count("connection_errors", _("Connection errors"), lost, slow.calls)


def _share(
    name: str, title: str, numerator: int, denominator: int, target: Target, *, bad: int | None = None
) -> Figure:
    """Make a figure of a share. The numerator counts the bad ones, unless `bad` does."""
    value = numerator / denominator * 100 if denominator else None
    words = _("%(part)d of %(whole)d.") % {"part": numerator, "whole": denominator} if denominator else _("None yet.")
    return Figure(
        name=name,
        title=title,
        value=value,
        unit="percent",
        numerator=numerator,
        denominator=denominator,
        window=LAST_DAY,
        target=target.words,
        state=_state(value, target, seen=denominator, bad=numerator if bad is None else bad),
        words=words,
    )


def _count(name: str, title: str, found: int, of: int) -> Figure:
    return Figure(
        name=name,
        title=title,
        value=float(found),
        unit="count",
        numerator=found,
        denominator=of,
        window=LAST_DAY,
        target=NONE_AT_ALL.words,
        state=_state(float(found), NONE_AT_ALL),
        words=_("%(found)d of %(of)d operations.") % {"found": found, "of": of},
    )


def _send_latency(stage: Stage) -> Figure:
    found, limit = metrics.latency_p95(DAY), latency_limit(stage)
    target = Target(f"< {formatting.milliseconds(limit)}", lambda value: value < limit, LEAST_SEEN)
    words = _("No sends yet.")
    if found.p95_ms is not None:
        said = {"calls": found.calls, "p95": formatting.milliseconds(found.p95_ms)}
        words = _("95 in 100 of %(calls)d sends took at most %(p95)s.") % said
    return Figure(
        name="send_p95",
        title=_("Send latency in V2 (p95)"),
        value=found.p95_ms,
        unit="ms",
        numerator=found.calls,
        denominator=found.calls,
        window=LAST_DAY,
        target=target.words,
        state=_state(found.p95_ms, target, seen=found.calls),
        words=words,
    )


def _state(value: float | None, target: Target, *, seen: int = 0, bad: int = 0) -> str:
    if not target.words:
        return "none"
    if value is None or seen < target.least:
        return "fail" if value is not None and not target.holds(value) and bad >= target.fewest > 0 else "insufficient"
    if target.holds(value):
        return "pass"
    return "fail" if bad >= target.fewest else "insufficient"


def _trend() -> tuple[TrendPoint, ...]:
    """Cut the day into hours: how V2's starts ended, how long its sends took, and its share of what was opened."""
    with connection.cursor() as cursor:
        cursor.execute(TREND, [HOURS - 1])
        rows = cursor.fetchall()
    return tuple(TrendPoint(*row[:4], *(None if value is None else float(value) for value in row[4:])) for row in rows)
