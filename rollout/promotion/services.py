"""Changes of the rollout: of the stage and of V1 writes. Each locks the flag's row and records one change."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, IntegrityError, connection, transaction
from psycopg.errors import CheckViolation

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import DomainError, NotPermitted, ValidationRefused
from carecollective.core.text import can_be_kept, one_line
from rollout.errors import ApprovalNotAccepted, NothingToChange, OverrideRefused, PromotionRefused
from rollout.models import Change, Flag, Proposal, ProposalState, Source
from rollout.promotion import approval_proofs, drain, readiness, rollbacks
from rollout.promotion.readiness import Readiness
from rollout.stages import DISABLED, ENABLED, Stage, order_key
from rollout.targeting import snapshot

logger = logging.getLogger(__name__)

REASON_SHORTEST, REASON_LONGEST = 3, 500
CHANGED_MEANWHILE = "The rollout has been changed meanwhile. Look at it again."
ROLLBACK_FIRST = "rollout_flag_rollback_comes_first"
APPROVAL = "A second staff member's approval: propose the step in the control room, at /admin/rollout/."


def change_stage(
    *, actor: User | None, stage: Stage, reason: str, source: Source, override: bool = False, actor_label: str = ""
) -> Change:
    """Move the rollout to `stage` without a second person's approval: down at any time, up only by an override.

    Reaching `enabled` turns V1 writes off; leaving it, or reaching `disabled`, turns them on again.
    A step down needs the permission to roll back. A step up raises PromotionRefused, naming all that is missing, unless
    `override`: only a superuser or the command line may, and the record keeps what was missing. Everybody else uses
    `rollout.promotion.proposals`.
    """
    if stage == DISABLED:
        return roll_back(actor=actor, reason=reason, source=source, actor_label=actor_label)
    reason = clean_reason(reason)
    before = snapshot.read_now().stage
    is_up = order_key(stage) > order_key(before)
    _require(actor, "rollout.propose" if is_up or stage == before else "rollout.rollback")
    if stage == before:
        raise NothingToChange(f"The rollout is already at {stage}.")
    # Judged before the row is locked, so that a rollback does not wait for it.
    found = _judge_override(actor, before, stage, override=override) if is_up else None
    with transaction.atomic():
        flag = rollbacks.lock_flag()
        if flag.current_stage() != before:
            raise NothingToChange(CHANGED_MEANWHILE)
        label = _label(actor, actor_label, source)
        if found is not None:
            # Before the flag changes: the flag's trigger looks for it.
            _keep_override(flag, stage, reason=reason, actor=actor, label=label, found=found)
        return _write(flag, stage, actor=actor, label=label, source=source, reason=reason, override=found is not None)


def promote(*, flag: Flag, proposal: Proposal, actor: User, source: Source) -> Change:
    """Make the step up that was proposed and that `actor` approved. The caller holds the flag's lock."""
    reason = f"{proposal.reason}\nProposed by {proposal.proposer_label}, approved by {proposal.decided_by_label}."
    return _write(flag, Stage.parse(proposal.to_stage), actor=actor, label=str(actor), source=source, reason=reason)


def roll_back(*, actor: User | None, reason: str, source: Source, actor_label: str = "") -> Change:
    """Turn V2 off for everybody and V1 writes on. Always possible, and waits for no other session.

    Then carries it over to the flag's row, and asks for the drain certificate (`rollout.promotion.drain`). If another
    session holds a lock that this needs, the returned change is not recorded yet (`is_recorded`), and the worker or the
    guard finishes it (`rollout.promotion.rollbacks`). Raises RollbackNotWritten.
    """
    _require(actor, "rollout.rollback")
    reason = clean_reason(reason)
    label = _label(actor, actor_label, source)
    rollback = rollbacks.insert(actor=actor, label=label, source=source, reason=reason)
    try:
        rollbacks.settle()
    except DatabaseError as problem:
        logger.info("A rollback is in force and not recorded yet (%s).", type(problem).__name__)
    change = rollbacks.change_of(rollback)
    if not connection.in_atomic_block:
        _certify(change)
    return change


def set_v1_writes(*, actor: User | None, on: bool, reason: str, source: Source, actor_label: str = "") -> Change:
    """Let V1 take new conversations and messages, or freeze it."""
    _require(actor, "rollout.propose")
    reason = clean_reason(reason)
    with transaction.atomic():
        flag = rollbacks.lock_flag()
        if flag.v1_writes is on:
            raise NothingToChange("V1 writes are already on." if on else "V1 writes are already off.")
        label = _label(actor, actor_label, source)
        return _write(flag, flag.current_stage(), v1_writes=on, actor=actor, label=label, source=source, reason=reason)


def clean_reason(reason: str) -> str:
    """Return the reason as one line. Raises ValidationRefused unless it has 3 to 500 characters."""
    cleaned = one_line(reason)
    if not REASON_SHORTEST <= len(cleaned) <= REASON_LONGEST or not can_be_kept(reason):
        raise ValidationRefused(fields={"reason": ["Say why, in 3 to 500 characters."]})
    return cleaned


def _judge_override(actor: User | None, before: Stage, stage: Stage, *, override: bool) -> Readiness:
    """Return what an override of this step skips. Raises OverrideRefused, or PromotionRefused without `override`."""
    if override and actor is not None and not actor.is_superuser:
        raise OverrideRefused
    found = readiness.judge(stage=before, target=stage)
    if not override:
        raise PromotionRefused(missing=[*found.missing, APPROVAL])
    return found


def _keep_override(flag: Flag, stage: Stage, *, reason: str, actor: User | None, label: str, found: Readiness) -> None:
    kept = Proposal(
        from_stage=flag.stage,
        to_stage=str(stage),
        from_version=flag.version,
        reason=reason,
        proposer_id=actor.pk if actor else None,
        proposer_label=label,
        state=ProposalState.APPROVED,
        decided_by_label=label,
        decided_at=ClockTimestamp(),
        override=True,
        missing=[*found.missing, APPROVAL],
        evidence=found.evidence(),
    )
    kept.proof = approval_proofs.prove(*approval_proofs.step_fields(kept))
    kept.save()


def _certify(change: Change) -> None:
    try:
        drain.certify(flag_version=change.flag_version)
    except (DomainError, DatabaseError) as problem:
        # V2 is off, and that is what counts; the certificate can be asked for again.
        logger.warning(
            "The rollback to version %s has no certificate (%s).", change.flag_version, type(problem).__name__
        )


def _require(actor: User | None, permission: str) -> None:
    # Commands and the guard have no actor; they are trusted because of where they run.
    if actor is not None and not actor.has_perm(permission):
        raise NotPermitted


def _label(actor: User | None, actor_label: str, source: Source) -> str:
    return actor_label or str(actor or source.label)


def _write(
    flag: Flag,
    stage: Stage,
    *,
    actor: User | None,
    label: str,
    source: Source,
    reason: str,
    v1_writes: bool | None = None,
    override: bool = False,
) -> Change:
    """Write the flag's row and return the change that the trigger recorded. V1 writes follow the stage unless given.

    Raises ApprovalNotAccepted, which undoes the step, where the database recorded it as from outside.
    """
    if v1_writes is None:
        v1_writes = stage != ENABLED and (flag.v1_writes or flag.current_stage() == ENABLED)
    context = {
        "rollout.actor_id": str(actor.pk) if actor else "",
        "rollout.actor_label": label,
        "rollout.source": source.value,
        "rollout.reason": reason,
        "rollout.override": "true" if override else "false",
    }
    with recorded_as(context):
        flag.stage, flag.v1_writes = str(stage), v1_writes
        try:
            flag.save(update_fields=["stage", "v1_writes"])
        except IntegrityError as problem:
            cause = problem.__cause__
            if not isinstance(cause, CheckViolation) or cause.diag.constraint_name != ROLLBACK_FIRST:
                raise
            # Somebody rolled back since the row was locked: a rollback does not wait for the lock.
            raise NothingToChange(CHANGED_MEANWHILE) from None
    flag.refresh_from_db(fields=["version", "changed_at"])
    change = Change.objects.get(flag_version=flag.version)
    if change.source == Source.OUTSIDE:
        raise ApprovalNotAccepted
    return change


@contextmanager
def recorded_as(context: dict[str, str]) -> Iterator[None]:
    """Tell the flag's trigger who changes it and why, for the statements inside the block."""
    _set_local(context)
    yield
    # Later statements of the transaction are not this change. After an error, the database's rollback resets it.
    _set_local(dict.fromkeys(context, ""))


def _set_local(context: dict[str, str]) -> None:
    calls = ", ".join(["set_config(%s, %s, true)"] * len(context))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", [part for item in context.items() for part in item])
