"""What a gate is given, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import TextChoices

from carecollective.formats.moments import moment
from rollout.stages import Stage
from rollout.telemetry.metrics import NONE_OF_NONE, NOTHING, Outcomes, Proportion

DAY = 86_400
_LONGEST_FORECAST = 20 * 365 * DAY


class CheckState(StrEnum):
    """The three answers of a check. Only PASS promotes."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INSUFFICIENT = "insufficient"


class Measure(TextChoices):
    """What a gate looks at: the name and the title of its result."""

    SUCCESS = "success", "Conversations begin"
    LATENCY = "latency", "Messages are sent quickly"
    ERRORS = "errors", "Errors are rare"
    LATENCY_TREND = "latency_trend", "No slower than the stage before"
    V1_CREATIONS = "v1_creations", "Nothing new begins in V1"
    BAKE = "bake", "The stage has lasted"
    SAMPLE_RATIO = "exposure", "The right share of members is in"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The answer of one gate: a sentence for people, and figures for the record.

    `seen` and `needed` count in `unit`. `expected_at` is when the missing ones will have come at today's traffic; None
    when nothing is missing or nothing comes. An `advisory` gate does not block while its data is insufficient.
    """

    name: str
    title: str
    state: CheckState
    words: str
    seen: int
    needed: int
    unit: str = "operations"
    expected_at: datetime | None = None
    eta_seconds: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    advisory: bool = False

    @property
    def passed(self) -> bool:
        return self.state is CheckState.PASS

    @property
    def blocks(self) -> bool:
        """Tell whether it keeps the rollout from being promoted."""
        return self.state is CheckState.FAIL or (self.state is CheckState.INSUFFICIENT and not self.advisory)


@dataclass(frozen=True, slots=True)
class Timings:
    """Calls counted by how long they took; `within` took less than the stage's limit.

    `p95_at_most_ms` is the upper confidence bound of the p95; None of too few calls.
    """

    calls: int = 0
    within: int = 0
    p95_ms: float | None = None
    p95_at_most_ms: float | None = None
    today: int = 0


@dataclass(frozen=True, slots=True)
class Baseline:
    """The stage before, to compare with: its p95, and the upper confidence bound of that p95.

    `within` of `trials` calls of the present stage took no longer than `limit_ms`.
    """

    stage: Stage
    calls: int
    p95_ms: float | None = None
    limit_ms: float | None = None
    within: int = 0
    trials: int = 0


@dataclass(frozen=True, slots=True)
class SeenMembers:
    """Members whom the percentage alone decides, by the version in which they started a conversation.

    `misplaced` ones were seen in a version that their bucket does not give them.
    """

    in_v2: int = 0
    in_v1: int = 0
    misplaced: int = 0
    today: int = 0

    @property
    def total(self) -> int:
        return self.in_v2 + self.in_v1


@dataclass(frozen=True, slots=True)
class Observation:
    """All that the gates know of a stage. `since` is when it began, `now` the database's clock.

    `starts`, `operations` and `sends` are V2's alone; those of today are the last `traffic_seconds`. `v1_creations` are the
    successful starts in V1 out of those in both versions; `creations_in_grace` are those of the stage's first minute, when
    V1 may still finish what it had begun. `resumed_from` is when the stage first began, where a rollback interrupted it.
    """

    now: datetime
    since: datetime | None
    traffic_seconds: float = float(DAY)
    starts: Outcomes = NOTHING
    starts_today: int = 0
    operations: Outcomes = NOTHING
    operations_today: int = 0
    sends: Timings = Timings()
    baseline: Baseline | None = None
    v1_creations: Proportion = NONE_OF_NONE
    creations_in_grace: int = 0
    resumed_from: datetime | None = None
    members: SeenMembers = SeenMembers()

    def forecast(self, *, missing: int, today: int) -> "Forecast":
        """Estimate when the `missing` ones will have come at today's traffic."""
        if not missing:
            return Forecast()
        seconds = missing / today * self.traffic_seconds if today > 0 else _LONGEST_FORECAST
        if seconds < _LONGEST_FORECAST:
            at = self.now + timedelta(seconds=seconds)
            return Forecast(seconds, at, f"at today's traffic by {moment(at)}")
        lately = "in the last 24 hours" if self.traffic_seconds >= DAY else "since this stage began"
        return Forecast(summary=f"none came {lately}, so no date can be named" if not today else "not in our time")


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the missing data will have come, if it will."""

    seconds: float | None = None
    at: datetime | None = None
    summary: str = ""
