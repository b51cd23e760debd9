"""The playbook's metrics over the last day, each with its value, its target and a sentence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from carecollective.core.database import fetch_all
from rollout import formatting
from rollout.dashboard.schema import CodeCount, ConversationCount, Figure, Figures, TrendPoint
from rollout.gates.criteria import latency_limit, success_limit
from rollout.gates.proportions import FEWEST_BAD
from rollout.stages import ENABLED, Stage
from rollout.telemetry import metrics
from rollout.telemetry.metrics import Proportion, Window

HOURS = 24
DAY = Window(HOURS * 3600)
LAST_DAY = "24 hours"
# Refusals (warn) are neither success nor failure, and quick because nothing was done.
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


LEAST_SEEN = 20  # as the alerts' rules ask


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be, in words and as a test of the value.

    Fewer than `least` operations are not judged, and it takes `fewest` bad ones to fail: 1 of 1 may be chance.
    """

    words: str
    holds: Callable[[float], bool]
    least: int = 0
    fewest: int = 0

    def judge(self, value: float | None, *, seen: int, bad: int) -> str:
        if not self.words:
            return "none"
        if value is None:
            return "insufficient"
        if self.holds(value):
            return "pass" if seen >= self.least else "insufficient"
        is_chance = bad < self.fewest or (seen < self.least and not self.fewest)
        return "insufficient" if is_chance else "fail"


NO_TARGET = Target("", lambda value: value >= 0)
NONE_AT_ALL = Target("0", lambda value: value == 0)


def read_figures(*, stage: Stage, since: datetime | None) -> Figures:
    """Read the figures of the last 24 hours, and the same hour by hour for the charts."""
    conversations = metrics.active_conversations(hours=HOURS)
    return Figures(
        since=since,
        figures=tuple(_figures(stage, metrics.adoption(conversations))),
        errors_by_code=tuple(
            CodeCount(found.code, found.count, round(found.share * 100, 2), found.members_own)
            for found in metrics.errors_by_code(DAY)
        ),
        conversations=tuple(
            ConversationCount(found.version, found.active, found.new_this_week) for found in conversations
        ),
        trend=_trend(),
    )


def _figures(stage: Stage, adopted: Proportion) -> Iterator[Figure]:
    starts, operations = metrics.creation_success(DAY), metrics.outcomes(DAY, version="v2")
    legacy, duplicates = metrics.v1_creations(DAY), metrics.duplicates(DAY)
    # The targets are those of the stage's gates, so that page and gate never disagree.
    limit = success_limit(stage)
    good = Target(f"> {formatting.percent(limit)}", lambda value: value > limit * 100, LEAST_SEEN, FEWEST_BAD)
    below_1 = Target("< 1%", lambda value: value < 1, LEAST_SEEN, FEWEST_BAD)
    below_10 = Target("< 10%", lambda value: value < 10, LEAST_SEEN, FEWEST_BAD)
    alone = NONE_AT_ALL if stage == ENABLED else NO_TARGET
    yield _share("creation_success", "Creation success in V2", starts.successes, good, bad=starts.failed)
    yield _send_latency(stage)
    yield _share("adoption", "V2 adoption", adopted, NO_TARGET)
    yield _share("error_rate", "Errors in V2", operations.failures, below_1)
    yield _share("v1_creations", "Conversations opened in V1", legacy, alone)
    yield _share("duplicates", "Duplicate attempts", duplicates, below_10)
    slow = metrics.slow_calls(DAY)
    yield _count("slow_calls", "Calls over 5 seconds or timed out", Proportion(slow.count, slow.calls))
    lost = metrics.connection_errors(DAY)
    yield _count("connection_errors", "Connection errors", Proportion(lost, slow.calls))


def _share(name: str, title: str, counted: Proportion, target: Target, *, bad: int | None = None) -> Figure:
    """Make a figure of a share. The numerator counts the bad ones, unless `bad` does."""
    part, whole = counted.numerator, counted.denominator
    value = None if counted.share is None else counted.share * 100
    words = f"{part} of {whole}." if whole else "None yet."
    return _figure(
        name, title, counted, target, value=value, unit="percent", words=words, bad=part if bad is None else bad
    )


def _count(name: str, title: str, counted: Proportion) -> Figure:
    words = f"{counted.numerator} of {counted.denominator} operations."
    return _figure(name, title, counted, NONE_AT_ALL, value=float(counted.numerator), unit="count", words=words)


def _send_latency(stage: Stage) -> Figure:
    found, limit = metrics.latency_p95(DAY), latency_limit(stage)
    target = Target(f"< {formatting.milliseconds(limit)}", lambda value: value < limit, LEAST_SEEN)
    words = "No sends yet."
    if found.p95_ms is not None:
        words = f"95 in 100 of {found.calls} sends took at most {formatting.milliseconds(found.p95_ms)}."
    counted = Proportion(found.calls, found.calls)
    return _figure("send_p95", "Send latency in V2 (p95)", counted, target, value=found.p95_ms, unit="ms", words=words)


def _figure(
    name: str, title: str, counted: Proportion, target: Target, *, value: float | None, bad: int = 0, **others: str
) -> Figure:
    return Figure(
        name=name,
        title=title,
        value=value,
        numerator=counted.numerator,
        denominator=counted.denominator,
        window=LAST_DAY,
        target=target.words,
        state=target.judge(value, seen=counted.denominator, bad=bad),
        **others,
    )


def _trend() -> tuple[TrendPoint, ...]:
    """Read hour by hour how V2's starts ended, how long its sends took, and its share of new conversations."""
    rows = fetch_all(TREND, [HOURS - 1])
    return tuple(TrendPoint(*row[:4], *(None if value is None else float(value) for value in row[4:])) for row in rows)
