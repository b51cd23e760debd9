"""The lock of a conversation: taken after the lock of its help request, and before that of a message."""

from uuid import UUID

from carecollective.core import shadow
from carecollective.core.database import Member, fetch_one, model_from_row
from carecollective.messaging.errors import ConversationNotFound
from carecollective.safety.selectors import Standing
from messaging_v2.models import Conversation
from messaging_v2.statements import CONVERSATION_COLUMNS, LOCK_AND_STANDING, LOCK_CONVERSATION


def lock_conversation(pk: UUID, *, member: Member) -> Conversation:
    """Hold the conversation still: nobody closes it or writes into it until this transaction ends.

    Raises ConversationNotFound, also for a conversation that the member takes no part in.
    """
    row = fetch_one(LOCK_CONVERSATION, {"conversation": pk, "member": member.pk})
    if row is None:
        raise ConversationNotFound
    return model_from_row(Conversation, CONVERSATION_COLUMNS, row)


def lock_and_read_standing(pk: UUID, *, member: Member) -> tuple[Conversation, Standing]:
    """Hold the conversation still as `lock_conversation` does, and tell how the member and the other stand.

    Raises ConversationNotFound.
    """
    row = fetch_one(LOCK_AND_STANDING, {"conversation": pk, "member": member.pk})
    if row is None:
        raise ConversationNotFound
    width = len(CONVERSATION_COLUMNS)
    shadow.compare(
        "lock conversation",
        row[:width],
        lambda: Conversation.objects.visible_to(member).filter(pk=pk).values_list(*CONVERSATION_COLUMNS).first(),
    )
    return model_from_row(Conversation, CONVERSATION_COLUMNS, row[:width]), Standing(*row[width:])
