"""The lock of a conversation: taken after the lock of its help request, and before that of a message."""

from uuid import UUID

from carecollective.core.database import Member
from carecollective.messaging.errors import ConversationNotFound
from messaging_v2.models import Conversation


def lock_conversation(pk: UUID, *, member: Member) -> Conversation:
    """Hold the conversation still: nobody closes it or writes into it until this transaction ends.

    Raises ConversationNotFound, also for a conversation that the member takes no part in.
    """
    visible = Conversation.objects.visible_to(member)
    conversation = visible.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if conversation is None:
        raise ConversationNotFound
    return conversation
