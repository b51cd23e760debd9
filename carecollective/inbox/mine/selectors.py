"""Read what a member asked for, and where they offered help."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_all
from carecollective.core.pagination import Cursor, Page, beyond, paginate
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.models import Thanks
from carecollective.inbox.queries import without_v2
from rollout.targeting.cohort import v2_is_installed

_OFFERS = """
WITH offers AS (
  SELECT help_request_id FROM conversations_v2 WHERE help_request_id = ANY(%(requests)s) AND requester_id = %(owner)s
  UNION ALL
  SELECT c.help_request_id FROM conversations c
  JOIN conversation_participants me ON me.conversation_id = c.id AND me.user_id = %(owner)s AND me.left_at IS NULL
  WHERE c.help_request_id = ANY(%(requests)s))
SELECT help_request_id, count(*) FROM offers GROUP BY help_request_id
"""


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """A member's own request, and how many members have offered help with it."""

    request: HelpRequest
    offer_count: int


def list_own_requests(*, owner: User, cursor: Cursor | None = None, size: int = 20) -> Page[OwnRequest]:
    """Return one page of the member's own requests of every status, newest first."""
    own = HelpRequest.objects.filter(user=owner)

    def fetch(place: Cursor | None, limit: int) -> Sequence[OwnRequest]:
        found = list(beyond(own, place, field="created_at")[:limit])
        counts = _count_offers(owner, [request.pk for request in found])
        return [OwnRequest(request, counts.get(request.pk, 0)) for request in found]

    with acting_as(owner):
        return paginate(fetch, cursor=cursor, size=size, key=lambda own: (own.request.created_at, own.request.pk))


def list_thanked(*, owner: User, help_request_id: UUID) -> frozenset[UUID]:
    """Return the ids of the members who helped, as the owner of the request said."""
    with acting_as(owner):
        return frozenset(Thanks.objects.filter(help_request=help_request_id).values_list("helper_id", flat=True))


def _count_offers(owner: User, requests: Sequence[UUID]) -> dict[UUID, int]:
    statement = _OFFERS if v2_is_installed() else without_v2(_OFFERS)
    given: dict[str, Any] = {"requests": list(requests), "owner": owner.pk}
    return dict(fetch_all(statement, given)) if requests else {}
