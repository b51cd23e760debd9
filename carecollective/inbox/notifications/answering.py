"""Whether a member can answer in a conversation, asked when a mail about it is written."""

from uuid import UUID

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.inbox.selectors import open_thread
from carecollective.messaging.errors import ConversationNotFound
from carecollective.safety.selectors import read_standing


def may_answer(member: User, conversation_id: UUID) -> bool:
    """Tell whether the member can write in a conversation now, as its page would."""
    with acting_as(member):
        try:
            thread = open_thread(reader=member, conversation_id=conversation_id, mark_read=False)
        except ConversationNotFound:
            return False
        other = thread.other_participant
        if thread.read_only or other is None or not member.is_approved:
            return False
        return read_standing(other.id).no_messages_until is None
