"""The legacy writer, for members outside the cohort while V1 writes are on. It adds rows and changes none."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from psycopg.errors import UniqueViolation

from carecollective.accounts.models import User
from carecollective.accounts.services import require_approved
from carecollective.core.database import acting_as, fetch_all
from carecollective.core.text import normalise_message
from carecollective.messaging.errors import (
    ClosedByAnother,
    ConversationInactive,
    ConversationNotFound,
    IdempotencyConflict,
)
from carecollective.messaging.offers import lock_and_check_offer
from carecollective.safety.models import Closing
from carecollective.safety.selectors import read_standing
from messaging_v1.models import Conversation, ConversationStatus, Message, Participant
from messaging_v1.statements import PAIR_V1

VERSION = "v1"


@dataclass(frozen=True, slots=True)
class SentLegacyMessage:
    """A stored message, and whether this very call stored it."""

    message: Message
    is_new: bool


def start_legacy_conversation(
    *,
    actor: User,
    help_request_id: UUID,
    initial_message: Any,
    pair: str = PAIR_V1,
) -> Conversation:
    """Write conversation, both participants and first message the legacy way, but in one transaction: no orphan is left.

    Raises what `lock_and_check_offer` raises.
    """
    with acting_as(actor):
        request, text = lock_and_check_offer(
            helper=actor,
            help_request_id=help_request_id,
            initial_message=initial_message,
            pair=pair,
        )
        now = _clock()
        conversation = Conversation(
            help_request=request, created_by=actor, created_at=now, updated_at=now, last_message_at=now
        )
        conversation.save(force_insert=True)
        Participant.objects.bulk_create(
            Participant(conversation=conversation, user_id=member, joined_at=now)
            for member in (actor.pk, request.user_id)
        )
        _add_message(conversation, actor, request.user_id, text, None)
        return conversation


def send_legacy_message(
    *, actor: User, conversation_id: UUID, content: Any, message_id: UUID | None = None
) -> SentLegacyMessage:
    """Add a message to an active legacy conversation; with the caller's `message_id`, once however often it is called.

    Raises NotApproved; ValidationRefused naming `content`; ConversationNotFound; IdempotencyConflict when the id names another
    message; ConversationInactive, also when the other participant has left or one of the two has blocked the other; Restricted;
    DailyLimitReached.
    """
    require_approved(actor)
    text = normalise_message(content, field="content")
    with acting_as(actor):
        conversation = lock_legacy_conversation(conversation_id)
        if sent_before := legacy_message_sent_before(
            actor=actor, conversation_id=conversation_id, content=content, message_id=message_id
        ):
            return sent_before
        others = Participant.objects.filter(conversation=conversation, left_at=None).exclude(user=actor)
        # Asked after the lock, as closing takes it too.
        others = others.annotate(is_closed=Exists(Closing.objects.filter(conversation_id=OuterRef("conversation_id"))))
        other = others.order_by("joined_at", "user_id").first()
        if conversation.status not in (None, ConversationStatus.ACTIVE) or other is None or other.is_closed:
            raise ConversationInactive
        standing = read_standing(other.user_id)
        if standing.is_apart:
            raise ConversationInactive
        standing.require_may_write()
        try:
            with transaction.atomic():
                message = _add_message(conversation, actor, other.user_id, text, message_id)
        except IntegrityError as error:
            if not isinstance(error.__cause__, UniqueViolation):
                raise
            # The id names a message that this member may not see.
            raise IdempotencyConflict from None
        return SentLegacyMessage(message, is_new=True)


def legacy_message_sent_before(
    *, actor: User, conversation_id: UUID, content: Any, message_id: UUID | None
) -> SentLegacyMessage | None:
    """Return the message that an earlier call with the same `message_id` stored, if one did. The caller holds `acting_as`.

    Raises ValidationRefused naming `content`; IdempotencyConflict when the id names another message.
    """
    message = Message.objects.filter(pk=message_id).first() if message_id else None
    if message is None:
        return None
    text = normalise_message(content, field="content")
    if (message.conversation_id, message.sender_id, message.content) != (conversation_id, actor.pk, text):
        raise IdempotencyConflict
    return SentLegacyMessage(message, is_new=False)


def close_legacy_conversation(*, actor: User, conversation_id: UUID) -> None:
    """Close a legacy conversation, in a table of ours. Closing twice is closing once. Raises ConversationNotFound."""
    with acting_as(actor):
        conversation = lock_legacy_conversation(conversation_id)
        if conversation.status in (None, ConversationStatus.ACTIVE):
            closing = Closing(conversation_id=conversation.pk, version=VERSION, closed_by=actor)
            Closing.objects.bulk_create([closing], ignore_conflicts=True)


def reopen_legacy_conversation(*, actor: User, conversation_id: UUID) -> None:
    """Open a legacy conversation again, as the one who closed it; what the legacy system closed stays closed.

    Raises ConversationNotFound; ClosedByAnother.
    """
    with acting_as(actor):
        conversation = lock_legacy_conversation(conversation_id)
        Closing.objects.filter(conversation_id=conversation.pk, closed_by=actor).delete()
        if (
            conversation.status not in (None, ConversationStatus.ACTIVE)
            or Closing.objects.filter(pk=conversation.pk).exists()
        ):
            raise ClosedByAnother


def lock_legacy_conversation(pk: UUID) -> Conversation:
    """Hold a legacy conversation still until this transaction ends. Raises ConversationNotFound."""
    conversation = Conversation.objects.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if conversation is None:
        raise ConversationNotFound
    return conversation


def _add_message(
    conversation: Conversation, sender: User, recipient_id: UUID, text: str, message_id: UUID | None
) -> Message:
    now = _clock()
    message = Message(
        conversation=conversation,
        sender=sender,
        recipient_id=recipient_id,
        help_request_id=conversation.help_request_id,
        content=text,
        created_at=now,
        updated_at=now,
        **({"pk": message_id} if message_id else {}),
    )
    message.save(force_insert=True)
    return message


def _clock() -> Any:
    """The database's clock now, after the lock: the legacy default would be the transaction's start."""
    return fetch_all("SELECT clock_timestamp()")[0][0]
