"""What a gate is given and what it answers: frozen figures in, frozen verdicts out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from carecollective.core.moments import moment
from rollout.stages import Stage

DAY = 86_400
_OUR_TIME = 20 * 365 * DAY


class VerdictState(StrEnum):
    """The three answers of a gate. Only PASS promotes."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one criterion says, in words for people and in figures for the record.

    `seen` and `needed` count in `unit` (operations, members or seconds). `expected_at` is when the missing ones will
    have come at today's traffic; None when nothing is missing or nothing comes.
    An `advisory` one stands in nobody's way for want of data.
    """

    name: str
    title: str
    state: VerdictState
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
        return self.state is VerdictState.PASS

    @property
    def blocks(self) -> bool:
        """Tell whether it keeps the rollout from being promoted."""
        return self.state is VerdictState.FAIL or (self.state is VerdictState.INSUFFICIENT and not self.advisory)


@dataclass(frozen=True, slots=True)
class Tally:
    """Operations counted by how they ended; `today` counts the successes and failures of the traffic period.

    `refusals` are the members' own doing (a double click, a closed request): neither successes nor failures.
    """

    successes: int = 0
    failures: int = 0
    refusals: int = 0
    today: int = 0

    @property
    def trials(self) -> int:
        return self.successes + self.failures


@dataclass(frozen=True, slots=True)
class Timings:
    """Calls counted by how long they took; `within` took less than the limit in milliseconds.

    `p95_at_most_ms` is the time that the true p95 is proven not to exceed; None of too few calls.
    """

    calls: int = 0
    within: int = 0
    p95_ms: float | None = None
    p95_at_most_ms: float | None = None
    today: int = 0
    limit_ms: float = 500.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """The stage before, to compare with: its p95, and the time which that p95 is proven not to exceed.

    `within` of `trials` calls of the present stage took no longer than `limit_ms`.
    """

    stage: Stage
    calls: int
    p95_ms: float | None = None
    limit_ms: float | None = None
    within: int = 0
    trials: int = 0


@dataclass(frozen=True, slots=True)
class Exposure:
    """Members whom the percentage alone decides, by the version in which they were seen to start a conversation.

    `misplaced` ones were seen in a version that their bucket does not give them.
    """

    in_v2: int = 0
    in_v1: int = 0
    misplaced: int = 0
    today: int = 0

    @property
    def members(self) -> int:
        return self.in_v2 + self.in_v1


@dataclass(frozen=True, slots=True)
class Observation:
    """All that the gates may know of a stage. `since` is when it began, `now` the database's clock.

    Tallies and timings are V2's alone; `creations` counts successful starts in both versions, `creations_in_grace` those
    of the first minute, in which what was under way in V1 may still end there. `resumed_from` is when the stage had begun
    before a rollback, where it was resumed.
    """

    now: datetime
    since: datetime | None
    traffic_seconds: float = float(DAY)
    starts: Tally = Tally()
    operations: Tally = Tally()
    sends: Timings = Timings()
    baseline: Baseline | None = None
    v1_creations: int = 0
    creations: int = 0
    creations_in_grace: int = 0
    resumed_from: datetime | None = None
    exposure: Exposure = Exposure()

    def forecast(self, *, missing: int, today: int) -> "Forecast":
        """Say when so many more will have come at today's traffic."""
        seconds = missing / today * self.traffic_seconds if today > 0 else _OUR_TIME
        if seconds < _OUR_TIME:
            at = self.now + timedelta(seconds=seconds)
            return Forecast(seconds, at, f"at today's traffic by {moment(at)}")
        lately = "in the last 24 hours" if self.traffic_seconds >= DAY else "since this stage began"
        return Forecast(None, None, f"none came {lately}, so no date can be named" if not today else "not in our time")


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the missing data will have come, if it will."""

    seconds: float | None
    at: datetime | None
    words: str
