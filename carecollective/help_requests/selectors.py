"""Read help requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet, TextChoices
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import fetch_one, model_from_row
from carecollective.core.errors import ValidationRefused
from carecollective.core.pagination import Cursor, Page, beyond, paginate
from carecollective.core.text import can_be_kept
from carecollective.help_requests.errors import HelpRequestNotFound
from carecollective.help_requests.models import OTHER, Category, HelpRequest, RequestStatus, Urgency, is_other
from carecollective.help_requests.search import contains_word
from carecollective.help_requests.statements import LOCK, LOCK_COLUMNS

SEARCH_MAX = 100
_KNOWN: dict[str, type[TextChoices]] = {"status": RequestStatus, "category": Category, "urgency": Urgency}


@dataclass(frozen=True, slots=True)
class RequestFilters:
    """The filters of the list. An empty text filters nothing; "other" finds empty and unknown values."""

    status: str = ""
    category: str = ""
    urgency: str = ""
    q: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "RequestFilters":
        """Read query parameters. Raises ValidationRefused naming each wrong one."""
        refused = {}
        for name, choices in _KNOWN.items():
            if given.get(name) and given[name] not in (*choices.values, OTHER):
                refused[name] = [_("This is not one of the choices.")]
        search = given.get("q", "")
        if not can_be_kept(search):
            refused["q"] = [_("We cannot search for one of the characters that you typed. Please type it again.")]
        elif len(search) > SEARCH_MAX:
            refused["q"] = [_("Please search for something shorter.")]
        if refused:
            raise ValidationRefused(refused)
        return cls(given.get("status", ""), given.get("category", ""), given.get("urgency", ""), search.strip())


def list_requests(*, filters: RequestFilters, cursor: Cursor | None = None, size: int = 20) -> Page[HelpRequest]:
    """Return one page of requests with their owners, newest first. Each word of a search must be found."""
    chosen = matching(filters)

    def fetch(place: Cursor | None, limit: int) -> Sequence[HelpRequest]:
        return list(beyond(chosen, place, field="created_at")[:limit])

    return paginate(fetch, cursor=cursor, size=size, key=lambda request: (request.created_at, request.pk))


def matching(filters: RequestFilters) -> QuerySet[HelpRequest]:
    """Return the requests that the filters let through, with their owners.

    Requests of somebody who is no member at the moment are not among them; they come back with their owner.
    """
    chosen = HelpRequest.objects.select_related("user").filter(user__is_active=True)
    for name, choices in _KNOWN.items():
        value = getattr(filters, name)
        if value == OTHER:
            chosen = chosen.filter(is_other(name, choices))
        elif value:
            chosen = chosen.filter(**{name: value})
    for word in filters.q.split():
        chosen = chosen.filter(contains_word(word))
    return chosen


def find_request(help_request_id: UUID) -> HelpRequest:
    """Return one request with its owner. Raises HelpRequestNotFound."""
    request = HelpRequest.objects.select_related("user").filter(pk=help_request_id).first()
    if request is None:
        raise HelpRequestNotFound
    return request


def lock_help_request(pk: UUID) -> HelpRequest:
    """Lock a help request until the transaction ends, so that nobody closes it or offers help meanwhile.

    Locks are taken in the order help request, conversation, message. Raises HelpRequestNotFound.
    """
    row = fetch_one(LOCK, {"help_request": pk})
    if row is None:
        raise HelpRequestNotFound
    return model_from_row(HelpRequest, LOCK_COLUMNS, row)
