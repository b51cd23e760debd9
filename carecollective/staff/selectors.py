"""Read which requests nobody has answered."""

from collections.abc import Sequence

from carecollective.accounts.models import User
from carecollective.accounts.services import require_staff
from carecollective.core.database import acting_as, fetch_all
from carecollective.core.waiting import Waiting, WaitingQuery, measure_waiting
from carecollective.help_requests.models import HelpRequest

SHOWN = 50
UNANSWERED = WaitingQuery("SELECT created_at FROM public.staff_unanswered_requests()")


def read_unanswered(*, reader: User) -> Waiting:
    """Measure the open requests without an offer after a day. Raises NotPermitted unless the reader is staff."""
    require_staff(reader)
    with acting_as(reader):
        return measure_waiting(UNANSWERED)


def list_unanswered(*, reader: User) -> Sequence[HelpRequest]:
    """Return these requests with their owners, the oldest first, at most 50. Raises NotPermitted unless the reader is staff."""
    require_staff(reader)
    with acting_as(reader):
        found = fetch_all("SELECT id FROM public.staff_unanswered_requests() ORDER BY created_at, id LIMIT %s", [SHOWN])
    requests = HelpRequest.objects.select_related("user").filter(pk__in=[key for (key,) in found])
    return list(requests.order_by("created_at", "pk"))
