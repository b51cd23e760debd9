"""Close and reopen a conversation of either version; block and unblock the other in it."""

from uuid import UUID

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.inbox.selectors import locate, open_thread
from carecollective.inbox.shapes import Location
from carecollective.messaging.errors import ClosedByAnother, ConversationNotFound
from carecollective.safety.services import block_member, unblock_member
from messaging_v1.services import close_legacy_conversation, reopen_legacy_conversation
from messaging_v2.models import ConversationStatus
from messaging_v2.services import set_status
from rollout.versions import MessagingVersion


def close_conversation(*, actor: User, conversation_id: UUID) -> None:
    """End a conversation; either participant may. Raises ConversationNotFound."""
    with acting_as(actor):
        match _locate(actor, conversation_id).version:
            case MessagingVersion.V2:
                set_status(actor=actor, conversation_id=conversation_id, status=ConversationStatus.CLOSED)
            case MessagingVersion.V1:  # pragma: no branch
                close_legacy_conversation(actor=actor, conversation_id=conversation_id)


def reopen_conversation(*, actor: User, conversation_id: UUID) -> None:
    """Let a closed conversation go on; only the one who closed it may.

    Raises ConversationNotFound; ClosedByAnother, also for one whom the other has blocked, who is not to know.
    """
    with acting_as(actor):
        location = _locate(actor, conversation_id)
        if location.blocked_by_me is False:
            raise ClosedByAnother
        match location.version:
            case MessagingVersion.V2:
                set_status(actor=actor, conversation_id=conversation_id, status=ConversationStatus.ACTIVE)
            case MessagingVersion.V1:  # pragma: no branch
                reopen_legacy_conversation(actor=actor, conversation_id=conversation_id)


def block_other(*, actor: User, conversation_id: UUID) -> None:
    """Block the other participant of a conversation. Raises ConversationNotFound, also where there is no other."""
    with acting_as(actor):
        block_member(actor=actor, member_id=_other_id(actor, conversation_id))


def unblock_other(*, actor: User, conversation_id: UUID) -> None:
    """End the actor's block of the other participant, if there is one. Raises ConversationNotFound."""
    with acting_as(actor):
        unblock_member(actor=actor, member_id=_other_id(actor, conversation_id))


def _locate(actor: User, conversation_id: UUID) -> Location:
    return locate(reader=actor, conversation_id=conversation_id, mark_read=False)


def _other_id(actor: User, conversation_id: UUID) -> UUID:
    thread = open_thread(reader=actor, conversation_id=conversation_id, mark_read=False)
    if thread.other_participant is None:
        raise ConversationNotFound
    return thread.other_participant.id
