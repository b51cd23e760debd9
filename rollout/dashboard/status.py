"""Reads all that the control room shows, once and by the database's clock."""

import math
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from carecollective.core.database import fetch_all
from carecollective.formats.moments import moment
from rollout import formatting
from rollout.alerts import lifecycle
from rollout.alerts.channels import name_variables
from rollout.alerts.lifecycle import AlertRecord, recent_alerts
from rollout.alerts.notifications import ChannelState, channel_states
from rollout.alerts.rules import RESTORE_V2
from rollout.dashboard.metric_cards import Target, read_figures
from rollout.dashboard.schema import (
    Drain,
    GuardPresence,
    GuardState,
    Health,
    Holder,
    NextStep,
    Overview,
    PendingProposal,
    Resume,
    RolloutStatus,
    Served,
)
from rollout.dashboard.timeline import list_changes, read_timeline
from rollout.gates.results import DAY, CheckState, GateResult
from rollout.gates.stays import Stay, find_resumption, read_stays, unvisited_stages
from rollout.gates.v1_service import SUCCESS, read_v1_since_rollback
from rollout.guard.absence import V2_TABLES_MISSING
from rollout.models import DrainCertificate, Proposal, ProposalState
from rollout.models.alerts import Occasion
from rollout.plain import record_from
from rollout.promotion import approval_proofs, drain, readiness, rollbacks, root_causes
from rollout.promotion.readiness import Readiness
from rollout.promotion.root_causes import RootCauseRecord
from rollout.stages import DISABLED, Stage, next_stage
from rollout.targeting import propagation, snapshot
from rollout.targeting.cohort import v1_takes_writes
from rollout.targeting.guard_lease import read_lease
from rollout.targeting.state import RolloutState, environment_disables
from rollout.telemetry import metrics
from rollout.telemetry.metrics import Window
from rollout.versions import MessagingVersion

SERVED_WITHIN = Window(300)
FAILED_WITHIN = Window(3600)
SHOWN = 3
# One failure of few starts may be chance, two are not.
SERVES = Target(f"at least {SUCCESS:.0%}", lambda share: share >= SUCCESS, fewest=2)


def read_status() -> RolloutStatus:
    """Read all that the control room shows, from the database and not from this process's snapshot."""
    state = snapshot.read_now()
    switch = propagation.read_switch(version=state.version)
    # A command's environment may differ from that of the serving processes, so these are asked too.
    overridden = environment_disables() or 0 < switch.serving == len(switch.held_off)
    (read_at, waits), stays = _clock(), read_stays()
    since = stays[0].began if stays else None
    guard, found = _guard(state), readiness.judge(stage=state.stage, target=next_stage(state.stage))
    alerts, due = lifecycle.open_alerts(), root_causes.list_due()
    health, words = _judge_health(state, overridden=overridden, guard=guard, found=found, alerts=alerts, due=due)
    channels, changes = channel_states(), tuple(list_changes())
    v1_writes = v1_takes_writes(state=state, override=DISABLED if overridden else settings.MESSAGING_V2_ROLLOUT)
    v2_starts = state.stage != DISABLED and state.fresh and not (overridden or state.holds_v2_off)
    return RolloutStatus(
        read_at=read_at,
        health=health,
        words=words,
        overview=Overview(
            served=(
                _served(MessagingVersion.V1, takes_starts=v1_writes),
                _served(MessagingVersion.V2, takes_starts=v2_starts),
            ),
            last_change=next(iter(changes), None),
            failing=metrics.failures_by_code(FAILED_WITHIN, requests=SHOWN)[:SHOWN],
            told=_told(_latest_alert(), channels),
            v1_since_rollback=read_v1_since_rollback(),
        ),
        stage=state.stage,
        version=state.version,
        since=since,
        v1_writes=v1_writes,
        overridden_by_environment=overridden,
        fresh=state.fresh,
        guard=guard,
        skipped=unvisited_stages(stays),
        gates=found.gates,
        next_step=None
        if found.target is None
        else NextStep(found.target, found.passed, found.blockers, found.expected_at),
        resume=_resume(stays, found),
        figures=read_figures(stage=state.stage, since=since),
        alerts=alerts,
        channels=channels,
        stage_sign_offs=found.sign_offs,
        checklist=found.checklist,
        proposals=_proposals(state.version),
        root_causes=due,
        drain=latest_drain() if state.stage == DISABLED else None,
        switch=switch,
        timeline=read_timeline(changes),
        unfinished=rollbacks.describe_unfinished() if waits else "",
    )


def _judge_health(
    state: RolloutState,
    *,
    overridden: bool,
    guard: GuardState,
    found: Readiness,
    alerts: tuple[AlertRecord, ...],
    due: tuple[RootCauseRecord, ...],
) -> tuple[Health, str]:
    """Return the first state that holds, the worst first, with the sentence that says it."""
    if not state.fresh:
        return Health.UNKNOWN, "The rollout's state cannot be read, so new conversations use V1."
    # These alerts count at any stage: members cannot start in V1.
    if unserved := [one for one in alerts if one.kind in ("members_cannot_start", "v1_creation_failing")]:
        return Health.FAILING, unserved[0].words
    if not state.installed:
        return Health.FAILING, f"{V2_TABLES_MISSING} {RESTORE_V2}"
    if overridden:
        return Health.OVERRIDDEN, "MESSAGING_V2_ROLLOUT=disabled in the environment holds V2 off for everybody."
    if guard.v2_is_off:
        return Health.GUARD_ABSENT, guard.words
    if state.stage == DISABLED and due:
        return Health.ROLLED_BACK, "V2 was rolled back and is off for everybody. Its root cause is still to be filed."
    if state.stage == DISABLED:
        return Health.DISABLED, "V2 is off for everybody."
    failing = [gate for gate in found.gates if gate.state is CheckState.FAIL]
    if problems := [*(one.words for one in alerts), *(f"{gate.title}: {gate.words}" for gate in failing)]:
        return Health.FAILING, problems[0]
    if any(gate.blocks for gate in found.gates):
        return Health.INSUFFICIENT, f"No problem seen. {_still_needed(found.gates)}."
    return Health.HEALTHY, "This stage has shown everything that the next one asks for."


def _still_needed(gates: tuple[GateResult, ...]) -> str:
    """Say what the gates still need: 29 more starts, 2 more days."""
    missing = [
        formatting.count(math.ceil((one.needed - one.seen) / DAY), "more day")
        if one.unit == "seconds"
        else formatting.count(one.needed - one.seen, f"more {one.unit.removesuffix('s')}")
        for one in gates
        if one.blocks and one.needed > one.seen
    ]
    if not missing:
        return "The gates below wait for more data"
    return " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]])) + " needed"


def _clock() -> tuple[datetime, bool]:
    """Return the time, and whether a rollback waits to be recorded."""
    ((now, waits),) = fetch_all(
        "SELECT clock_timestamp(), EXISTS (SELECT FROM public.rollout_state WHERE waiting_since IS NOT NULL)"
    )
    return now, waits


def _guard(state: RolloutState) -> GuardState:
    lease = read_lease()
    if lease is None:
        presence, words = GuardPresence.NEVER, "No guard has run yet."
    elif lease.watching:
        presence, words = (
            GuardPresence.WATCHING,
            f"The guard watches; it last looked {lease.age_seconds:.0f} seconds ago.",
        )
    else:
        presence, words = GuardPresence.ABSENT, f"No guard has looked for {lease.age_seconds:.0f} seconds."
    is_off = presence is not GuardPresence.WATCHING and state.stage != DISABLED
    if is_off:
        words += " So V2 is off by itself, whatever the stage says, until one does."
    if lease is None:
        return GuardState(presence, "", None, None, is_off, words)
    return GuardState(presence, lease.holder, lease.renewed_at, lease.age_seconds, is_off, words)


def _resume(stays: Sequence[Stay], found: Readiness) -> Resume | None:
    left = find_resumption(stays)
    if left is None or left.stage == found.target:
        return None
    ready = left.explained and found.passed
    if not left.explained:
        words = f"Once the root cause of the rollback is filed, two people can go straight back to {left.stage}."
    elif not ready:
        words = f"Two people can go straight back to {left.stage}, as soon as nothing listed here is in the way."
    else:
        words = (
            f"Two people can go straight back to {left.stage}. What it had shown is kept, but for the last 15 minutes"
            " before the rollback. It has to last one more day."
        )
    return Resume(left.stage, ready, words)


def _proposals(version: int) -> tuple[PendingProposal, ...]:
    return tuple(
        record_from(
            row,
            PendingProposal,
            from_stage=Stage.parse(row.from_stage),
            to_stage=Stage.parse(row.to_stage),
            proposer=row.proposer_label,
            stale=row.from_version != version,
            proven=approval_proofs.is_proposal_proven(row),
        )
        for row in Proposal.objects.filter(state=ProposalState.PENDING)
    )


def latest_drain() -> Drain | None:
    """Read the latest attempt at a drain certificate since the last rollback."""
    attempt = drain.latest_attempt()
    return as_drain(attempt) if attempt else None


def as_drain(attempt: DrainCertificate) -> Drain:
    """Make the record of an attempt at a drain certificate."""
    holders = (
        Holder(one["pid"], one["application"], datetime.fromisoformat(one["since"]) if one["since"] else None)
        for one in attempt.holders
    )
    return record_from(attempt, Drain, holders=tuple(holders))


def _latest_alert() -> AlertRecord | None:
    """Return the latest alert that people are told of; a weaker one of the same cause has no messages."""
    latest = recent_alerts(10)
    return next((one for one in latest if one.deliveries), next(iter(latest), None))


def _told(latest: AlertRecord | None, channels: tuple[ChannelState, ...]) -> str:
    """Say whether the latest alert reached somebody, and over which channels."""
    set_up = [channel.name for channel in channels if channel.configured]
    if not set_up:
        return f"Nobody. No channel is set up: set {name_variables()}."
    if latest is None:
        return f"No alert yet. Alerts go to: {', '.join(set_up)}."
    if latest.told_at:
        told = [sent.channel for sent in latest.deliveries if sent.what == Occasion.OPENED and sent.delivered_at]
        return f"Yes, by {', '.join(told)} at {moment(latest.told_at, 'second')}: {latest.title}."
    failed = [f"{sent.channel} ({sent.error})" for sent in latest.deliveries if sent.error]
    return f"Not yet: {latest.title}. " + (f"Failed: {', '.join(failed)}." if failed else "It is on its way.")


def _served(version: MessagingVersion, *, takes_starts: bool) -> Served:
    seen = metrics.creation_success(SERVED_WITHIN, version=version)
    if not seen.trials:
        state, words = ("none", "No starts") if takes_starts else ("off", "Off")
    else:
        state = SERVES.judge(seen.successes.share, seen=seen.trials, bad=seen.failed)
        words = f"{seen.succeeded} of {seen.trials}"
    return Served(version, takes_starts, seen.succeeded, seen.failed, state, words)
