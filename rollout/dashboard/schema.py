"""All that the control room shows, as one tree of records for the page, the API and the command.

The API answers the records' fields; their properties are for the page and the command.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import TextChoices

from rollout import formatting
from rollout.alerts.lifecycle import AlertRecord
from rollout.alerts.notifications import ChannelState
from rollout.gates.results import GateResult
from rollout.gates.v1_service import ServedSince
from rollout.models import Source
from rollout.promotion.readiness import Blocker
from rollout.promotion.root_causes import RootCauseRecord
from rollout.promotion.sign_offs import ChecklistItem
from rollout.stages import Stage
from rollout.targeting.propagation import Switch
from rollout.telemetry.metrics import FailingCode


class Health(TextChoices):
    """The state of the rollout in one word."""

    DISABLED = "disabled", "Off"  # nobody is in V2, and nothing is wrong
    HEALTHY = "healthy", "Healthy"
    INSUFFICIENT = "insufficient", "Not enough yet"  # nothing is wrong, and too little is known to go on
    FAILING = "failing", "Failing"  # a gate fails or an alert is open
    ROLLED_BACK = "rolled_back", "Rolled back"  # at disabled, with a root cause to file
    GUARD_ABSENT = "guard_absent", "Unguarded"  # V2 is off by itself, because nobody watches
    OVERRIDDEN = "overridden", "Held off"  # the environment of this process, or of all that serve, says disabled
    UNKNOWN = "unknown", "Unknown"  # the flag's row cannot be read

    @property
    def icon(self) -> str:
        return _ICONS.get(self, "off")


_ICONS = {
    Health.HEALTHY: "pass",
    Health.INSUFFICIENT: "insufficient",
    Health.FAILING: "fail",
    Health.GUARD_ABSENT: "fail",
    Health.UNKNOWN: "unknown",
}


class EntryKind(StrEnum):
    """What an entry of the timeline is about."""

    CHANGE = "change"
    PROPOSAL = "proposal"
    ALERT = "alert"
    SIGN_OFF = "sign_off"
    ROOT_CAUSE = "root_cause"
    DRAIN = "drain"


class Badge(TextChoices):
    """What is special about an entry of the timeline."""

    OVERRIDE = "override", "Override"
    OUTSIDE = "outside", "Outside the application"
    GUARD = "guard", "By the guard"
    WAITING = "waiting", "Not recorded yet"
    CRITICAL = "critical", "Critical"
    WARNING = "warning", "Warning"
    RESOLVED = "resolved", "Resolved"


class GuardPresence(StrEnum):
    WATCHING = "watching"
    ABSENT = "absent"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class GuardState:
    """Whether a guard watches. `v2_is_off` says that V2 is off only because no guard does."""

    state: GuardPresence
    holder: str
    renewed_at: datetime | None
    age_seconds: float | None
    v2_is_off: bool
    words: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the playbook's metrics. `value` is None where nothing was counted.

    `unit` is percent, ms or count; `state` is pass, fail, insufficient, or none for a figure without a target.
    """

    # creation_success, send_p95, adoption, error_rate, v1_creations, duplicates, slow_calls or connection_errors
    name: str
    title: str
    value: float | None
    unit: str
    numerator: int
    denominator: int
    window: str
    target: str
    state: str
    words: str

    @property
    def shown(self) -> str:
        """The value as text; a dash where nothing was counted."""
        if self.value is None:
            return "–"
        if self.unit == "percent":
            return formatting.percent(self.value / 100, up=self.name in SMALL_IS_GOOD)
        return formatting.milliseconds(self.value) if self.unit == "ms" else f"{self.value:,.0f}"


# Their share is rounded up, so that it never looks better than it is.
SMALL_IS_GOOD = frozenset({"error_rate", "v1_creations", "duplicates"})


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How often operations ended with a code. `members_own` codes are refusals, not failures of the system."""

    code: str
    count: int
    percent: float
    members_own: bool

    @property
    def share(self) -> str:
        return formatting.percent(self.percent / 100, up=True)


@dataclass(frozen=True, slots=True)
class ConversationCount:
    version: str
    active: int
    new_this_week: int


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One interval of the charts; a share is None where nothing was counted."""

    at: datetime
    starts: int
    operations: int
    failures: int
    success_percent: float | None
    send_p95_ms: float | None
    v2_percent: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    since: datetime | None
    figures: tuple[Figure, ...]
    errors_by_code: tuple[CodeCount, ...]
    conversations: tuple[ConversationCount, ...]
    trend: tuple[TrendPoint, ...]  # the last 24 hours, hour by hour, oldest first


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next stage, and whether it may be proposed. It needs a second person's approval in any case."""

    stage: Stage
    ready: bool
    blockers: tuple[Blocker, ...]
    expected_at: datetime | None  # when the gates will have seen enough, at today's traffic


@dataclass(frozen=True, slots=True)
class Resume:
    """The stage that the last rollback left. `ready` once its root cause is filed and nothing else is in the way."""

    stage: Stage
    ready: bool
    words: str


@dataclass(frozen=True, slots=True)
class PendingProposal:
    """A proposal that waits for its decision.

    A `stale` one was made before the last change, and can only be withdrawn. One that is not `proven` was not made in the
    application, whoever it names, and can only be refused.
    """

    id: int
    from_stage: Stage
    to_stage: Stage
    from_version: int
    reason: str
    proposer_id: UUID | None
    proposer: str
    proposed_at: datetime
    stale: bool
    proven: bool


@dataclass(frozen=True, slots=True)
class Holder:
    """A database session that held up the drain."""

    pid: int
    application: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Drain:
    """The drain certificate of the last rollback: if `certified`, no V2 start commits after `issued_at`."""

    flag_version: int
    certified: bool
    asked_at: datetime
    issued_at: datetime | None
    waited_ms: float
    holders: tuple[Holder, ...]
    words: str


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of the timeline, newest first."""

    at: datetime
    kind: EntryKind
    title: str
    words: str = ""
    who: str = ""
    source: str = ""  # admin, command, guard, environment, outside, or empty
    from_stage: str = ""
    to_stage: str = ""
    badges: tuple[Badge, ...] = ()

    @property
    def headline(self) -> str:
        """The title, with stages named as people name them."""
        titles = {name: Stage.parse(name).title for name in (self.from_stage, self.to_stage) if name}
        return " ".join(titles.get(word, word) for word in self.title.split(" "))

    @property
    def source_title(self) -> str:
        """Where a change came from."""
        return dict(Source.choices).get(self.source, self.source) if self.kind is EntryKind.CHANGE else ""

    @property
    def skipped_checks(self) -> tuple[str, ...]:
        """The checks that an override skipped."""
        is_override = self.kind is EntryKind.PROPOSAL and Badge.OVERRIDE in self.badges
        return tuple(self.words.splitlines()) if is_override else ()


@dataclass(frozen=True, slots=True)
class Served:
    """How the starts of one version ended in the last 5 minutes."""

    version: str
    takes_starts: bool
    succeeded: int
    failed: int
    state: str  # pass, fail, insufficient, none or off
    words: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The top of the page: what somebody who was just woken asks first."""

    served: tuple[Served, ...]
    last_change: TimelineEntry | None
    failing: tuple[FailingCode, ...]
    told: str  # whether a message about the latest alert arrived
    v1_since_rollback: ServedSince | None  # while the latest change of the stage is a rollback


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """All that the control room shows."""

    api_name = "Status"

    read_at: datetime
    health: Health
    words: str  # the state of things in one sentence
    overview: Overview
    stage: Stage
    version: int
    since: datetime | None
    v1_writes: bool
    overridden_by_environment: bool
    fresh: bool
    guard: GuardState
    skipped: tuple[Stage, ...]  # stages below the present one that an override, or somebody outside, passed over
    gates: tuple[GateResult, ...]  # of the present stage
    next_step: NextStep | None  # None at the top
    resume: Resume | None  # after a rollback
    figures: Figures
    alerts: tuple[AlertRecord, ...]  # open ones
    channels: tuple[ChannelState, ...]
    stage_sign_offs: tuple[ChecklistItem, ...]  # what people say of the present stage
    checklist: tuple[ChecklistItem, ...]
    proposals: tuple[PendingProposal, ...]  # pending ones
    root_causes: tuple[RootCauseRecord, ...]  # due ones
    drain: Drain | None  # of the last rollback, while the rollout is at disabled
    switch: Switch
    timeline: tuple[TimelineEntry, ...]
    unfinished: str  # which rollback is in force and not recorded yet, and who is in the way; empty when all is done
