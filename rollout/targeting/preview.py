"""Shows what a stage would change, and why one member is in V2 or not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models import Exists, OuterRef

from carecollective.accounts.models import User, VerificationStatus
from carecollective.core.database import fetch_all
from carecollective.help_requests.models import AVAILABLE, HelpRequest
from rollout import formatting
from rollout.stages import Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import INTERNAL_TESTERS, Decision, MemberFacts, decide, decision_for
from rollout.targeting.state import RolloutState
from rollout.versions import MessagingVersion

SAMPLE = 10
PAIRS_SEEN = """
SELECT DISTINCT asked.user_id, event.user_id
FROM public.application_logs AS event JOIN public.help_requests AS asked ON asked.id = event.help_request_id
WHERE event.method = 'startHelpConversation' AND event.event = 'success' AND event.user_id <> asked.user_id
"""


@dataclass(frozen=True, slots=True)
class PreviewMember:
    id: UUID
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would enter or leave V2 at `stage`. `members` counts all who can start a conversation."""

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
class PairPreview:
    """How a stage would split requester-helper pairs. `seen` pairs have talked; the others could."""

    both_in: int
    mixed: int
    both_out: int
    seen: bool

    @property
    def total(self) -> int:
        return self.both_in + self.mixed + self.both_out

    @property
    def shares(self) -> tuple[tuple[str, int, str], ...]:
        """Title, number and percentage of each kind."""
        kinds = (
            ("Both in V2", self.both_in),
            ("One in V2, one in V1", self.mixed),
            ("Both in V1", self.both_out),
        )
        return tuple((title, count, formatting.percent(count / (self.total or 1))) for title, count in kinds)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision for the one member behind an e-mail address."""

    name: str
    email: str
    decision: Decision


def preview(stage: Stage) -> Preview:
    """List the members who would enter or leave V2 at `stage`, as if nothing kept V2 off."""
    now, then = _healthy_state(), _healthy_state(stage)
    members, entering, leaving = 0, [], []
    for member, facts in _eligible_members():
        members += 1
        was, will_be = _is_in(facts, now), _is_in(facts, then)
        if will_be and not was:
            entering.append(member)
        elif was and not will_be:
            leaving.append(member)
    return Preview(stage, now.stage, members, tuple(entering), tuple(leaving))


def preview_pairs(stage: Stage) -> PairPreview:
    """Count how `stage` splits the pairs that talked; where no event is kept, those that open requests allow."""
    state = _healthy_state(stage)
    is_in = {facts.id: _is_in(facts, state) for _member, facts in _eligible_members()}
    seen = [is_in[asked] + is_in[helper] for asked, helper in fetch_all(PAIRS_SEEN) if {asked, helper} <= is_in.keys()]
    if seen:
        return PairPreview(both_in=seen.count(2), mixed=seen.count(1), both_out=seen.count(0), seen=True)
    return _preview_possible_pairs(is_in)


def _preview_possible_pairs(is_in: dict[UUID, bool]) -> PairPreview:
    """Pair everybody who has an open request with everybody else."""
    requesters = HelpRequest.objects.filter(status__in=AVAILABLE).order_by("user_id").values_list("user_id", flat=True)
    places = [is_in[key] for key in requesters.distinct() if key in is_in]
    requesters_in, members_in = sum(places), sum(is_in.values())
    requesters_out, members_out = len(places) - requesters_in, len(is_in) - members_in
    return PairPreview(
        both_in=requesters_in * max(members_in - 1, 0),
        mixed=requesters_in * members_out + requesters_out * members_in,
        both_out=requesters_out * max(members_out - 1, 0),
        seen=False,
    )


def explain_member(email: str) -> Explanation | None:
    """Decide for the member with this e-mail address, as for a request of theirs; None when there is none."""
    member = User.objects.filter(email__iexact=email.strip()).first()
    if member is None:
        return None
    return Explanation(name=member.get_full_name(), email=str(member.email), decision=decision_for(member))


def _healthy_state(stage: Stage | None = None) -> RolloutState:
    """Return the rollout at `stage`, or as it is, with nothing that keeps V2 off."""
    now = snapshot.current()
    return replace(now, stage=stage or now.stage, fresh=True, guarded=True, installed=True)


def _is_in(facts: MemberFacts, state: RolloutState) -> bool:
    return decide(state=state, member=facts, override=None).version is MessagingVersion.V2


def _eligible_members() -> Iterator[tuple[PreviewMember, MemberFacts]]:
    """Yield the active and approved members, who can start a conversation, the oldest first."""
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
