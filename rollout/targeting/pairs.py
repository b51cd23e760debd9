"""How a stage would part those who talk to each other: both in V2, one of them, or neither."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import connection

from carecollective.help_requests.models import AVAILABLE, HelpRequest
from rollout import formatting
from rollout.stages import Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import decide
from rollout.targeting.preview import members_who_may_start
from rollout.versions import MessagingVersion

PAIRS_SEEN = """
SELECT DISTINCT asked.user_id, event.user_id
FROM public.application_logs AS event JOIN public.help_requests AS asked ON asked.id = event.help_request_id
WHERE event.method = 'startHelpConversation' AND event.event = 'success' AND event.user_id <> asked.user_id
"""


@dataclass(frozen=True, slots=True)
class PairShares:
    """Requester-helper pairs by who of the two would be in V2. `seen` tells pairs that talked from those that could."""

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


def preview_pairs(stage: Stage) -> PairShares:
    """Part the pairs that began to talk, as far as events are kept; where there is none, those that open requests allow."""
    state = replace(snapshot.current(), stage=stage, fresh=True, guarded=True, installed=True)
    is_in = {
        facts.id: decide(state=state, member=facts, override=None).version is MessagingVersion.V2
        for _member, facts in members_who_may_start()
    }
    with connection.cursor() as cursor:
        cursor.execute(PAIRS_SEEN)
        seen = [pair for pair in cursor.fetchall() if pair[0] in is_in and pair[1] in is_in]
    return _part(seen, is_in) if seen else _part_possible(is_in)


def _part(pairs: Iterable[tuple[UUID, UUID]], is_in: dict[UUID, bool]) -> PairShares:
    counts = [0, 0, 0]
    for requester, helper in pairs:
        counts[is_in[requester] + is_in[helper]] += 1
    return PairShares(both_in=counts[2], mixed=counts[1], both_out=counts[0], seen=True)


def _part_possible(is_in: dict[UUID, bool]) -> PairShares:
    """Pair everybody who has an open request with everybody else."""
    requesters = HelpRequest.objects.filter(status__in=AVAILABLE).order_by("user_id").values_list("user_id", flat=True)
    places = [is_in[key] for key in requesters.distinct() if key in is_in]
    asking_in = sum(places)
    asking_out = len(places) - asking_in
    members_in = sum(is_in.values())
    members_out = len(is_in) - members_in
    return PairShares(
        both_in=asking_in * max(members_in - 1, 0),
        mixed=asking_in * members_out + asking_out * members_in,
        both_out=asking_out * max(members_out - 1, 0),
        seen=False,
    )
