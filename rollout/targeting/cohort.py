"""Decides which version a member's new conversation uses."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db.models import TextChoices

from carecollective.accounts.models import User
from rollout.stages import BUCKETS, DISABLED, ENABLED, Stage, StageKind
from rollout.targeting import snapshot
from rollout.targeting.state import RolloutState
from rollout.versions import MessagingVersion

# The group; `rollout/sql/rollout_testers_v2.sql` names it too.
INTERNAL_TESTERS = "Internal testers"


class Reason(TextChoices):
    """Why a decision is what it is, with a sentence for people. The codes never change: events and monitors keep them."""

    DISABLED_BY_ENVIRONMENT = "disabled_by_environment", "MESSAGING_V2_ROLLOUT=disabled switches V2 off for everybody."
    STALE_SNAPSHOT = (
        "stale_snapshot",
        "The rollout's state could not be read in the last five seconds, so V2 stays off.",
    )
    DISABLED = "disabled", "V2 is switched off for everybody."
    TABLES_MISSING = "tables_missing", "The tables of V2 are missing, so V2 is off until they are there again."
    GUARD_ABSENT = "guard_absent", "No guard has watched the rollout in the last minute, so V2 is off until one does."
    NOT_INTERNAL = "not_internal", "V2 is open to staff and internal testers only, for now."
    OUT_OF_PERCENTAGE = "out_of_percentage", "This member's bucket is above the share of members that is in V2."
    V1_FROZEN = "v1_frozen", "This member is not in V2, and V1 takes no new conversations."
    STAFF = "staff", "Staff use V2 at every stage but disabled."
    INTERNAL_TESTER = "internal_tester", "Internal testers use V2 at every stage but disabled."
    IN_PERCENTAGE = "in_percentage", "This member's bucket is within the share of members that is in V2."
    ENABLED = "enabled", "Everybody uses V2."


_IN_V2 = frozenset({Reason.STAFF, Reason.INTERNAL_TESTER, Reason.IN_PERCENTAGE, Reason.ENABLED})


class MemberFacts(NamedTuple):
    """All that the decision depends on, of a member."""

    id: UUID
    is_staff: bool
    is_tester: bool


# Not frozen: making a frozen one takes a fifth of a decision.
@dataclass(slots=True)
class Decision:
    """The decision for one member; `version` is None when they can start no conversation at all."""

    version: Annotated[
        MessagingVersion | None,
        {"help_text": "The version a new conversation would use; null while none can be started."},
    ]
    reason: Reason
    stage: Annotated[Stage, {"help_text": "disabled, internal, percentage:N or enabled"}]
    bucket: Annotated[int, {"min_value": 0, "max_value": BUCKETS - 1}]


# As many members as one process meets in a while: the hash is half of what a decision costs.
@lru_cache(maxsize=4096)
def bucket(*, member_id: UUID, salt: str) -> int:
    """Return the member's bucket, 0 to 99,999: always the same for the same salt."""
    digest = sha256(f"{salt}:{member_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def decide(*, state: RolloutState, member: MemberFacts, override: Stage | None) -> Decision:
    """Decide from the rollout's state and the member alone. `override` is the environment's stage, if it names one.

    Only a DISABLED override counts: any other is the initial stage of an empty database.
    Members who are in at one stage are in at every higher one.
    """
    place = bucket(member_id=member.id, salt=state.salt)
    if override == DISABLED:
        stage, reason = DISABLED, Reason.DISABLED_BY_ENVIRONMENT
    else:
        stage, reason = state.stage, _reason(state, member, place)
    if reason in _IN_V2:
        return Decision(MessagingVersion.V2, reason, stage, place)
    if v1_takes_writes(state=state, override=override):
        return Decision(MessagingVersion.V1, reason, stage, place)
    return Decision(None, Reason.V1_FROZEN, stage, place)


def _reason(state: RolloutState, member: MemberFacts, place: int) -> Reason:
    if not state.fresh:
        return Reason.STALE_SNAPSHOT
    stage = state.stage
    if stage.kind is StageKind.DISABLED:
        return Reason.DISABLED
    if not state.installed:
        return Reason.TABLES_MISSING
    if not state.guarded:
        return Reason.GUARD_ABSENT
    if stage.kind is StageKind.ENABLED:
        return Reason.ENABLED
    if member.is_staff:
        return Reason.STAFF
    if member.is_tester:
        return Reason.INTERNAL_TESTER
    if stage.kind is StageKind.INTERNAL:
        return Reason.NOT_INTERNAL
    if place < stage.threshold:
        return Reason.IN_PERCENTAGE
    return Reason.OUT_OF_PERCENTAGE


def v1_takes_writes(*, state: RolloutState, override: Stage | None) -> bool:
    """Tell whether V1 takes new conversations and messages.

    At `enabled` V1 is frozen. When something else turns V2 off there (the environment, no guard, missing tables), V1 writes
    count as on, as after a rollback: otherwise nobody could write at all.
    """
    return state.v1_writes or (state.stage == ENABLED and (override == DISABLED or state.holds_v2_off))


def nobody_can_start(state: RolloutState | None = None) -> bool:
    """Tell whether nobody can start a conversation: V1 is frozen and V2 is off. Without `state`, as this process knows."""
    state, override = state or snapshot.current(), settings.MESSAGING_V2_ROLLOUT
    return _v2_is_off(state, override) and not v1_takes_writes(state=state, override=override)


def _v2_is_off(state: RolloutState, override: Stage | None) -> bool:
    return override == DISABLED or not state.fresh or state.stage == DISABLED or state.holds_v2_off


def decision_for(member: User, state: RolloutState | None = None) -> Decision:
    """Decide for a member from `state`, by default the current one; costs no query beside it."""
    state, override = state or snapshot.current(), settings.MESSAGING_V2_ROLLOUT
    facts = MemberFacts(member.id, member.is_staff, member.id in state.testers)
    return decide(state=state, member=facts, override=override)


def v1_writes_are_on() -> bool:
    """Tell whether V1 takes writes now."""
    return v1_takes_writes(state=snapshot.current(), override=settings.MESSAGING_V2_ROLLOUT)


def v2_is_installed() -> bool:
    """Tell whether V2's tables exist, as far as this process knows; True while it knows nothing."""
    return snapshot.current().installed
