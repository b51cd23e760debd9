"""Mark a conversation as unread, archive it, and take it out of the archive: each for one member alone."""

from uuid import UUID

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_one
from carecollective.core.pagination import UNDATED
from carecollective.inbox.models import ReadPointer
from carecollective.inbox.queries import ARCHIVE
from carecollective.inbox.selectors import for_tables_at_hand, locate
from carecollective.messaging.errors import ConversationNotFound


def mark_unread(*, actor: User, conversation_id: UUID) -> None:
    """Let a conversation count as unread until the member's next visit. Raises ConversationNotFound."""
    with acting_as(actor):
        locate(reader=actor, conversation_id=conversation_id, mark_read=False)
        ReadPointer.objects.bulk_create(
            [ReadPointer(member=actor, conversation_id=conversation_id, is_marked_unread=True)],
            update_conflicts=True,
            update_fields=["is_marked_unread"],
            unique_fields=["member_id", "conversation_id"],
        )


def archive(*, actor: User, conversation_id: UUID) -> None:
    """Take a conversation out of the member's inbox until its next message. Raises ConversationNotFound."""
    with acting_as(actor):
        known = {"reader": actor.pk, "conversation": conversation_id, "undated": UNDATED}
        if fetch_one(for_tables_at_hand(ARCHIVE), known) is None:
            raise ConversationNotFound


def unarchive(*, actor: User, conversation_id: UUID) -> None:
    """Put a conversation back into the member's inbox. Raises ConversationNotFound."""
    with acting_as(actor):
        locate(reader=actor, conversation_id=conversation_id, mark_read=False)
        ReadPointer.objects.filter(member=actor, conversation_id=conversation_id).update(archived_to=None)
