"""The first of the locks. The order is help request, conversation, message; nothing takes them the other way round."""

from uuid import UUID

from carecollective.help_requests.errors import HelpRequestNotFound
from carecollective.help_requests.models import HelpRequest


def lock_help_request(pk: UUID) -> HelpRequest:
    """Hold the request still: nobody closes it, and no second conversation about it opens, until this transaction ends.

    Raises HelpRequestNotFound.
    """
    request = HelpRequest.objects.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if request is None:
        raise HelpRequestNotFound
    return request
