"""Say who helped."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.core.errors import InvalidInput
from carecollective.help_requests.models import RequestStatus
from carecollective.inbox.models import Thanks
from carecollective.inbox.selectors import open_thread


class CannotThank(InvalidInput):
    message = _("You can say thank you once your request is completed, to members who offered help with it.")


def thank_helper(*, actor: User, conversation_id: UUID) -> None:
    """Record that the helper of a conversation helped with the actor's completed request; twice is once.

    Raises ConversationNotFound; CannotThank unless the request is the actor's and completed.
    """
    with acting_as(actor):
        thread = open_thread(reader=actor, conversation_id=conversation_id, mark_read=False)
        conversation, request = thread.conversation, thread.help_request
        is_owner = conversation.requester_id == actor.pk
        if (
            not is_owner
            or request is None
            or request.status != RequestStatus.COMPLETED
            or conversation.helper_id is None
        ):
            raise CannotThank
        Thanks.objects.get_or_create(help_request_id=request.id, helper_id=conversation.helper_id)
