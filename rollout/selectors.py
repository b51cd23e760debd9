"""What people ask about the rollout before and after they move it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef

from carecollective.accounts.models import User
from rollout import snapshot
from rollout.cohort import INTERNAL_TESTERS, Decision, MemberFacts, decide, decision_for
from rollout.stages import DISABLED, Stage
from rollout.versions import MessagingVersion

SAMPLE = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would come into V2, and who would go, if the rollout moved to `stage` now."""

    stage: Stage
    current: Stage
    members: int
    entering: int
    leaving: int
    sample: tuple[str, ...]


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
    """Count the active members who would enter or leave V2 at `stage`, whatever keeps V2 off today."""
    now = replace(snapshot.current(), fresh=True, guarded=True)
    then = replace(now, stage=stage)
    members = entering = leaving = 0
    sample: list[str] = []
    for name, facts in _facts_of_everyone():
        members += 1
        was, will_be = (
            decide(state=state, member=facts, override=None).version is MessagingVersion.V2 for state in (now, then)
        )
        entering += will_be and not was
        leaving += was and not will_be
        if will_be and not was and len(sample) < SAMPLE:
            sample.append(name)
    return Preview(stage, now.stage, members, entering, leaving, tuple(sample))


def explain_member(email: str) -> Explanation | None:
    """Decide for the member with this e-mail address as a request of theirs would; None when there is none."""
    member = User.objects.filter(email__iexact=email.strip()).first()
    if member is None:
        return None
    return Explanation(name=member.get_full_name(), email=str(member.email), decision=decision_for(member))


def _facts_of_everyone() -> Iterator[tuple[str, MemberFacts]]:
    tester = User.groups.through.objects.filter(user_id=OuterRef("pk"), group__name=INTERNAL_TESTERS)
    rows: Iterator[tuple[UUID, str, bool, bool]] = (
        User.objects.filter(is_active=True)
        .annotate(is_tester=Exists(tester))
        .order_by("created_at", "pk")
        .values_list("pk", "name", "is_staff", "is_tester")
        .iterator(chunk_size=2000)
    )
    for pk, name, is_staff, is_tester in rows:
        yield name, MemberFacts(id=pk, is_staff=is_staff, is_tester=is_tester)
