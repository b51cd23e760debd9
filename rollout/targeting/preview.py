"""What people ask about the rollout before and after they move it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef

from carecollective.accounts.models import User, VerificationStatus
from rollout.stages import DISABLED, Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import INTERNAL_TESTERS, Decision, MemberFacts, decide, decision_for
from rollout.versions import MessagingVersion

SAMPLE = 10


@dataclass(frozen=True, slots=True)
class PreviewMember:
    id: UUID
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would come into V2, and who would go, if the rollout moved to `stage` now. `members` could start something."""

    stage: Stage
    current: Stage
    members: int
    entering_members: tuple[PreviewMember, ...]
    leaving_members: tuple[PreviewMember, ...]

    @property
    def entering(self) -> int:
        return len(self.entering_members)

    @property
    def leaving(self) -> int:
        return len(self.leaving_members)

    @property
    def sample(self) -> tuple[str, ...]:
        """The first few names."""
        return tuple(one.name for one in self.entering_members[:SAMPLE])


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision for the one member behind an e-mail address."""

    name: str
    email: str
    decision: Decision


def environment_disables() -> bool:
    """Tell whether MESSAGING_V2_ROLLOUT=disabled overrides whatever the database says."""
    return settings.MESSAGING_V2_ROLLOUT == DISABLED


def preview(stage: Stage) -> Preview:
    """List the members who would enter or leave V2 at `stage`, whatever keeps V2 off today."""
    now = replace(snapshot.current(), fresh=True, guarded=True, installed=True)
    then = replace(now, stage=stage)
    members, entering, leaving = 0, [], []
    for member, facts in members_who_may_start():
        members += 1
        was, will_be = (
            decide(state=state, member=facts, override=None).version is MessagingVersion.V2 for state in (now, then)
        )
        if will_be and not was:
            entering.append(member)
        elif was and not will_be:
            leaving.append(member)
    return Preview(stage, now.stage, members, tuple(entering), tuple(leaving))


def explain_member(email: str) -> Explanation | None:
    """Decide for the member with this e-mail address as a request of theirs would; None when there is none."""
    member = User.objects.filter(email__iexact=email.strip()).first()
    if member is None:
        return None
    return Explanation(name=member.get_full_name(), email=str(member.email), decision=decision_for(member))


def members_who_may_start() -> Iterator[tuple[PreviewMember, MemberFacts]]:
    """Yield who can start a conversation at all: active and approved members, the oldest first."""
    tester = User.groups.through.objects.filter(user_id=OuterRef("pk"), group__name=INTERNAL_TESTERS)
    rows: Iterator[tuple[UUID, str, str | None, bool, bool]] = (
        User.objects.filter(is_active=True, verification_status=VerificationStatus.APPROVED)
        .annotate(is_tester=Exists(tester))
        .order_by("created_at", "pk")
        .values_list("pk", "name", "email", "is_staff", "is_tester")
        .iterator(chunk_size=2000)
    )
    for pk, name, email, is_staff, is_tester in rows:
        yield PreviewMember(pk, name, email or ""), MemberFacts(id=pk, is_staff=is_staff, is_tester=is_tester)
