"""The timeline: changes, proposals, alerts, signatures, drain certificates and root causes, the newest first."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice

from rollout.alerts.lifecycle import recent_alerts
from rollout.dashboard.schema import Badge, EntryKind, TimelineEntry
from rollout.models import Change, DrainCertificate, Proposal, ProposalState, SignOff, Source
from rollout.models.alerts import Severity
from rollout.promotion.audit_log import find_unproven
from rollout.promotion.rollbacks import list_waiting
from rollout.promotion.root_causes import list_filed
from rollout.promotion.sign_offs import ROLES, title_of_item

LENGTH = 50


def read_timeline(changes: Iterable[TimelineEntry] | None = None) -> tuple[TimelineEntry, ...]:
    """Read the latest entries of all kinds. `changes` are those of `list_changes`, if they were read already."""
    events = [*(list_changes() if changes is None else changes), *_proposals(), *_alerts(), *_signatures(), *_drains()]
    events += _root_causes()
    # The sort is stable: at the same moment a cause stands below its effect.
    return tuple(sorted(events, key=lambda event: event.at, reverse=True)[:LENGTH])


def list_changes() -> Iterator[TimelineEntry]:
    """Read the latest changes, the newest first, with rollbacks that are not recorded yet."""
    waiting = reversed(list_waiting().values())
    for change in islice(chain(waiting, Change.objects.all()[:LENGTH]), LENGTH):
        badges = {
            Badge.OUTSIDE: change.source == Source.OUTSIDE,
            Badge.GUARD: change.source == Source.GUARD,
            Badge.OVERRIDE: change.override,
            Badge.WAITING: not change.is_recorded,
        }
        yield TimelineEntry(
            at=change.at,
            kind=EntryKind.CHANGE,
            title=change_title(change),
            words=change.reason,
            who=change.actor_label,
            source=change.source,
            from_stage=change.from_stage or "",
            to_stage=change.to_stage or "",
            badges=tuple(badge for badge, is_given in badges.items() if is_given),
        )


def change_title(change: Change) -> str:
    """Name a change by what it changed."""
    if change.to_stage is None:
        return "The flag was removed"
    if change.from_stage is None:
        return f"The flag was created at {change.to_stage}"
    if change.from_stage != change.to_stage:
        return f"{change.from_stage} → {change.to_stage}"
    if change.from_v1_writes != change.to_v1_writes:
        return "V1 writes on" if change.to_v1_writes else "V1 writes off"
    return f"The flag was written again at {change.to_stage}"


def _proposals() -> Iterator[TimelineEntry]:
    latest = list(Proposal.objects.all()[:LENGTH])
    unproven = find_unproven([proposal.pk for proposal in latest])
    for proposal in latest:
        stage, at, who = proposal.to_stage, proposal.proposed_at, proposal.proposer_label
        entry = partial(TimelineEntry, kind=EntryKind.PROPOSAL, from_stage=proposal.from_stage, to_stage=stage)
        if proposal.pk in unproven:
            names = ", ".join(filter(None, [who, proposal.decided_by_label]))
            title = f"A proposal for {stage} was written past the application"
            words = f"It names {names}. Neither is proven to have made or approved it here."
            yield entry(at=at, title=title, words=words, badges=(Badge.OUTSIDE,))
        elif proposal.override:
            title, words = f"Passed over what was missing for {stage}", "\n".join(proposal.missing)
            yield entry(at=at, title=title, words=words, who=who, badges=(Badge.OVERRIDE,))
        else:
            yield entry(at=at, title=f"Proposed: {stage}", words=proposal.reason, who=who)
            if proposal.decided_at is not None:
                yield entry(
                    at=proposal.decided_at,
                    title=f"{ProposalState(proposal.state).label}: {stage}",
                    words=proposal.decision_reason,
                    who=proposal.decided_by_label,
                )


def _alerts() -> Iterator[TimelineEntry]:
    for alert in recent_alerts(LENGTH):
        if alert.severity is Severity.NOTICE:
            continue  # the timeline shows the change itself
        acted = (Badge.GUARD,) if alert.disabled_v2 else ()
        entry = partial(TimelineEntry, kind=EntryKind.ALERT, who="The guard", source="guard")
        yield entry(at=alert.opened_at, title=alert.title, words=alert.words, badges=(Badge(alert.severity), *acted))
        if alert.acknowledged_at is not None:
            title = f"Acknowledged: {alert.title}"
            yield entry(at=alert.acknowledged_at, title=title, who=alert.acknowledged_by, source="")
        if alert.resolved_at is not None:
            yield entry(at=alert.resolved_at, title=f"Resolved: {alert.title}", badges=(Badge.RESOLVED,))


def _signatures() -> Iterator[TimelineEntry]:
    for signed in SignOff.objects.all()[:LENGTH]:
        role = ROLES.get(signed.role, "")
        yield TimelineEntry(
            at=signed.signed_at,
            kind=EntryKind.SIGN_OFF,
            title="Signature withdrawn" if signed.withdrawn else "Signed",
            words=title_of_item(signed.item) + (f" ({role.lower()})" if role else ""),
            who=signed.signer_label,
        )


def _drains() -> Iterator[TimelineEntry]:
    for attempt in DrainCertificate.objects.all()[:LENGTH]:
        yield TimelineEntry(
            at=attempt.issued_at or attempt.asked_at,
            kind=EntryKind.DRAIN,
            title="Drain certificate issued" if attempt.certified else "No drain certificate",
            words=attempt.words,
        )


def _root_causes() -> Iterator[TimelineEntry]:
    for filed in list_filed(LENGTH):
        assert filed.filed_at is not None  # noqa: S101 (list_filed)
        yield TimelineEntry(
            at=filed.filed_at,
            kind=EntryKind.ROOT_CAUSE,
            title=f"Root cause filed for the rollback from {filed.from_stage}",
            words=filed.why,
            who=filed.filed_by,
        )
