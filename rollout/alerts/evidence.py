"""What the guard saw in one look, and the rules' data type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rollout.gates.sequential import Detector
from rollout.models.alerts import Severity
from rollout.stages import Stage
from rollout.telemetry.metrics import (
    NONE_OF_NONE,
    NOTHING,
    Ending,
    Latency,
    LatestEnding,
    Outcomes,
    Proportion,
    SlowCalls,
)

FIVE_MINUTES, FIFTEEN_MINUTES, ONE_MINUTE = 300, 900, 60
SLOW_MS = 5000.0
NO_CALLS = SlowCalls(count=0, calls=0, slowest_ms=None)
UNTESTED = Detector()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the guard saw in one look, by the database's clock.

    `starts` and `detector` can turn V2 off: they count nothing from before the present stage.
    The groups of `operations` and `sends` are "v1", "v2" and "both". `endings` are all of the last five minutes;
    `stage_endings` those since the stage began, five minutes at most; `endings_before` those of the stage before.
    `latest` are the latest starts and sends of each group, the latest first, since the stage began, a week at most.
    `latest_v1_starts` says whether each of the last V1 starts of a day succeeded, the latest first.
    """

    at: datetime
    stage: Stage
    stage_since: datetime | None
    starts: Outcomes = NOTHING
    v1_starts: Outcomes = NOTHING
    latest_v1_starts: tuple[bool, ...] = ()
    endings: tuple[Ending, ...] = ()
    stage_endings: tuple[Ending, ...] = ()
    endings_before: tuple[Ending, ...] = ()
    latest: Mapping[str, tuple[LatestEnding, ...]] = field(default_factory=dict)
    operations: Mapping[str, Outcomes] = field(default_factory=dict)
    sends: Mapping[str, Latency] = field(default_factory=dict)
    duplicates: Proportion = NONE_OF_NONE
    slow: SlowCalls = NO_CALLS
    connection_errors: int = 0
    detector: Detector = UNTESTED
    broken: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that fired, with the figures that made it fire.

    `total` counts damage that stays until it is repaired: only a higher total is news. `severity` replaces the rule's own.
    """

    rule: "Rule"
    words: str
    figures: Mapping[str, Any]
    total: int | None = None
    severity: Severity | None = None


Judge = Callable[["Rule", Evidence], Finding | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table of alerts.

    Its alert ends once nothing was found for `quiet_seconds`; if that is None, the code that raised it ends it, or with
    `ends_when_acknowledged` the person who acknowledges it. A rule without a judge is for what other code finds: a change
    of the rollout, a process that is gone.
    `minimum` is how many operations must have been seen, `fewest` how many bad ones: two failures of five may be chance.
    With `of_stage`, the rule judges the present stage only, and its alert ends with the stage.
    While an alert of a kind in `silenced_by` is open, this rule opens none: one cause, one message.
    `window_seconds` is the period that it judges, and `condition` says in words when it fires.
    `title` names the state, `consequence` what it means for members, `action` what to do, `over` how its end is told.
    """

    kind: str
    severity: Severity
    title: str
    condition: str
    action: str
    consequence: str = ""
    over: str = "Nothing more of it was seen"
    judge: Judge | None = None
    window_seconds: int = FIVE_MINUTES
    threshold: float = 0.0
    minimum: int = 1
    fewest: int = 5
    disables_v2: bool = False
    of_stage: bool = False
    quiet_seconds: int | None = ONE_MINUTE
    ends_when_acknowledged: bool = False
    silenced_by: tuple[str, ...] = ()

    @property
    def waits_for_stronger(self) -> bool:
        """Whether its alert waits a moment before people are told: a stronger one of the same cause may follow."""
        return bool(self.silenced_by) or self.disables_v2
