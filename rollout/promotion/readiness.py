"""Is the rollout ready for its next step? Gates, signatures, checklist, open alerts and the order of the stages."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from rollout.alerts.lifecycle import AlertRecord, open_alerts
from rollout.gates import criteria
from rollout.gates.observations import collect_observation
from rollout.gates.results import CheckState, GateResult, Timings
from rollout.gates.stays import find_resumption, read_stays
from rollout.plain import as_plain
from rollout.promotion.checklist import judge_checklist, judge_stage
from rollout.promotion.sign_offs import ChecklistItem, read_sign_off_facts
from rollout.stages import DISABLED, Stage, skipped_stages


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing that keeps the rollout from its next stage."""

    kind: str  # gate, sign_off, checklist, alert, skip or approval
    words: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """What is missing between `stage` and `target`. A second person's approval is needed in any case."""

    stage: Stage
    target: Stage | None
    confidence: float
    gates: tuple[GateResult, ...]
    checklist: tuple[ChecklistItem, ...]
    blockers: tuple[Blocker, ...]
    sign_offs: tuple[ChecklistItem, ...] = ()
    sends: Timings = field(default_factory=Timings)

    @property
    def passed(self) -> bool:
        return self.target is not None and not self.blockers

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(blocker.words for blocker in self.blockers)

    @property
    def expected_at(self) -> datetime | None:
        """When the gates will have seen enough at today's traffic; None if they have, or if it is unknown."""
        waiting = [found for found in self.gates if found.state is CheckState.INSUFFICIENT and found.blocks]
        times = [found.expected_at for found in waiting]
        return None if None in times else max((at for at in times if at), default=None)

    def evidence(self) -> dict[str, Any]:
        """Return what the record keeps of it."""
        return {
            "confidence": self.confidence,
            "gates": as_plain(self.gates),
            "checklist": {item.name: item.state for item in (*self.sign_offs, *self.checklist)},
            # The next stage is compared with these, even after the events themselves were deleted.
            "sends": {
                "calls": self.sends.calls,
                "p95_ms": self.sends.p95_ms,
                "p95_at_most_ms": self.sends.p95_at_most_ms,
            },
        }


def judge(*, stage: Stage, target: Stage | None) -> Readiness:
    """Judge a step up from the current `stage` to `target`; without a target, only what `stage` has shown."""
    confidence = settings.ROLLOUT_CONFIDENCE
    # At disabled nobody is in V2, so there are no figures to judge.
    gates: tuple[GateResult, ...] = ()
    sign_offs: tuple[ChecklistItem, ...] = ()
    sends, facts = Timings(), read_sign_off_facts()
    if stage != DISABLED:
        seen = collect_observation(confidence=confidence)
        gates, sends = criteria.evaluate_gates(stage=stage, observation=seen, confidence=confidence), seen.sends
        sign_offs = judge_stage(stage, facts)
    checklist = judge_checklist(facts)
    blockers = tuple(_blockers(stage, target, gates, sign_offs, checklist, alerts=open_alerts()))
    return Readiness(stage, target, confidence, gates, checklist, blockers, sign_offs, sends)


def _resumes(stage: Stage, target: Stage | None) -> bool:
    """Whether the step returns to the stage that a rollback left, after its root cause was filed."""
    found = find_resumption(read_stays()) if stage == DISABLED else None
    return found is not None and found.explained and found.stage == target


def _blockers(
    stage: Stage,
    target: Stage | None,
    gates: tuple[GateResult, ...],
    sign_offs: tuple[ChecklistItem, ...],
    checklist: tuple[ChecklistItem, ...],
    *,
    alerts: tuple[AlertRecord, ...],
) -> Iterator[Blocker]:
    skipped = skipped_stages(stage, target) if target else ()
    if skipped and not _resumes(stage, target):
        names = ", ".join(str(each) for each in skipped)
        yield Blocker("skip", f"Going from {stage} to {target} would skip {names}.")
    for alert in alerts:
        yield Blocker("alert", f"An alert is open: {alert.words}")
    for gate in gates:
        if gate.blocks:
            yield Blocker("gate", f"{gate.title}: {gate.words}")
    for item in sign_offs:
        if not item.passed:
            yield Blocker("sign_off", f"{item.title}: {item.words}")
    for item in checklist:
        if not item.passed:
            yield Blocker("checklist", f"{item.title}: {item.words}")
