"""The lock of a help request. Locks are taken in the order help request, conversation, message."""

from uuid import UUID

from carecollective.help_requests.errors import HelpRequestNotFound
from carecollective.help_requests.models import HelpRequest


def lock_help_request(pk: UUID) -> HelpRequest:
    """Lock a help request until the transaction ends, so that nobody closes it or offers help meanwhile.

    Raises HelpRequestNotFound.
    """
    request = HelpRequest.objects.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if request is None:
        raise HelpRequestNotFound
    return request
