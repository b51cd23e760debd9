"""A step up takes two people: one proposes it, another approves it, and nothing may be missing for either."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import NotPermitted
from rollout.errors import (
    NothingToChange,
    PromotionRefused,
    ProposalNotFound,
    ProposalPending,
    ProposalSettled,
    ProposalStale,
    ProposalUnproven,
    SamePerson,
)
from rollout.models import Change, Proposal, ProposalState, Source
from rollout.promotion import approval_proofs, readiness, rollbacks, services
from rollout.stages import Stage, order_key
from rollout.targeting import snapshot


def propose(*, actor: User, stage: Stage, reason: str) -> Proposal:
    """Propose a step up. It happens once a second staff member approves it.

    Raises NotPermitted without `rollout.propose`; ValidationRefused for the reason; NothingToChange unless it is a step
    up; PromotionRefused naming everything that is missing; ProposalPending while another one waits.
    """
    if not _may(actor, "rollout.propose"):
        raise NotPermitted
    reason = services.clean_reason(reason)
    state = snapshot.read_now()
    now = state.stage
    if order_key(stage) <= order_key(now):
        raise NothingToChange(f"{stage} is no step up from {now}.")
    found = readiness.judge(stage=now, target=stage)
    if not found.passed:
        raise PromotionRefused(missing=found.missing)
    try:
        with transaction.atomic():
            _clear_overtaken(state.version)
            proposal = Proposal(
                from_stage=str(now),
                to_stage=str(stage),
                from_version=state.version,
                reason=reason,
                proposer_id=actor.pk,
                proposer_label=str(actor),
                evidence=found.evidence(),
            )
            proposal.proof = approval_proofs.prove(*approval_proofs.step_fields(proposal))
            proposal.save()
            return proposal
    except IntegrityError:
        raise ProposalPending from None


def approve(*, actor: User, proposal_id: int) -> Change:
    """Approve another person's proposal and move the rollout, if still nothing is missing.

    Raises NotPermitted without `rollout.approve`; ProposalNotFound; ProposalSettled; SamePerson for the proposer;
    ProposalUnproven where the application did not make it; ProposalStale when the rollout has changed since;
    PromotionRefused when something is missing by now; ApprovalNotAccepted where the database knows another key.
    """
    proposal = _find(actor, "rollout.approve", proposal_id)
    if proposal.proposer_id == actor.pk:
        raise SamePerson
    if not approval_proofs.is_proposal_proven(proposal):
        raise ProposalUnproven
    # Judged before the row is locked, so that a rollback does not wait for it.
    found = readiness.judge(stage=Stage.parse(proposal.from_stage), target=Stage.parse(proposal.to_stage))
    with transaction.atomic():
        # First the flag, then the proposal: if somebody moves the rollout meanwhile, this proposal is stale.
        flag = rollbacks.lock_flag()
        is_stale, missing = flag.version != proposal.from_version, found.missing
        if is_stale:
            _settle(proposal, actor, ProposalState.STALE)
        elif not _may_still(proposal.proposer_id, "rollout.propose"):
            missing = ("Whoever proposed it may propose no more.",)
        elif found.passed:
            if not _may_still(actor.pk, "rollout.approve"):
                raise NotPermitted
            proof = approval_proofs.prove(*approval_proofs.approval_fields(proposal, actor.pk))
            _settle(proposal, actor, ProposalState.APPROVED, evidence=found.evidence(), decision_proof=proof)
            return services.promote(flag=flag, proposal=proposal, actor=actor, source=Source.ADMIN)
    if is_stale:
        raise ProposalStale
    raise PromotionRefused(missing=missing)


def refuse(*, actor: User, proposal_id: int, reason: str) -> Proposal:
    """Refuse a proposal, and say why. Raises NotPermitted without `rollout.approve`; ProposalNotFound; ProposalSettled."""
    proposal = _find(actor, "rollout.approve", proposal_id)
    return _settle(proposal, actor, ProposalState.REFUSED, decision_reason=services.clean_reason(reason))


def withdraw(*, actor: User, proposal_id: int) -> Proposal:
    """Withdraw a proposal of one's own. Raises NotPermitted; ProposalNotFound; ProposalSettled."""
    proposal = _find(actor, "rollout.propose", proposal_id)
    if proposal.proposer_id != actor.pk:
        raise NotPermitted
    return _settle(proposal, actor, ProposalState.WITHDRAWN)


def _find(actor: User, permission: str, proposal_id: int) -> Proposal:
    if not _may(actor, permission):
        raise NotPermitted
    proposal = Proposal.objects.filter(pk=proposal_id).first()
    if proposal is None:
        raise ProposalNotFound
    if proposal.state != ProposalState.PENDING:
        raise ProposalSettled
    return proposal


def _may_still(member_id: UUID | None, permission: str) -> bool:
    """Whether the member still has the permission: the proposal may have waited for days."""
    member = User.objects.filter(pk=member_id).first() if member_id else None
    return member is not None and _may(member, permission)


def _may(member: User, permission: str) -> bool:
    # The database asks the same of both people when the step is recorded.
    return member.is_staff and member.has_perm(permission)


def _settle(proposal: Proposal, actor: User, state: ProposalState, **more: Any) -> Proposal:
    """Decide a pending proposal. Of two decisions at once, the condition lets only one through."""
    decided = Proposal.objects.filter(pk=proposal.pk, state=ProposalState.PENDING).update(
        state=state, decided_by_id=actor.pk, decided_by_label=str(actor), decided_at=ClockTimestamp(), **more
    )
    if not decided:
        raise ProposalSettled
    proposal.refresh_from_db()
    return proposal


def _clear_overtaken(version: int) -> None:
    """Mark proposals for an earlier state of the flag as stale."""
    Proposal.objects.filter(state=ProposalState.PENDING).exclude(from_version=version).update(
        state=ProposalState.STALE, decided_by_label="", decided_at=ClockTimestamp()
    )
