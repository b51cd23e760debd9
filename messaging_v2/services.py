"""The operations of the new messaging: open, send, read, close. Each acts for one member, whom the database checks too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from carecollective.accounts.models import User
from carecollective.accounts.services import require_approved
from carecollective.core.database import ClockTimestamp, acting_as, fetch_all, fetch_last, fetch_one, model_from_row
from carecollective.core.errors import ActingAsAnother
from carecollective.core.rate_limits import Quota, quota_of
from carecollective.core.text import normalise_message
from carecollective.messaging.errors import (
    ClosedByAnother,
    ConversationInactive,
    IdempotencyConflict,
)
from carecollective.messaging.offers import lock_and_check_offer
from carecollective.messaging.statements import News
from carecollective.safety.models import Closing
from messaging_v2.locks import lock_and_read_standing, lock_conversation
from messaging_v2.models import Conversation, ConversationStatus, Message
from messaging_v2.selectors import ConversationThread, read_conversation
from messaging_v2.statements import (
    CONVERSATION_COLUMNS,
    MESSAGE_COLUMNS,
    OPEN_AND_NOTE,
    OPEN_CONVERSATION,
    PAIR_V2,
    SEND_AND_NOTE,
    SEND_MESSAGE,
    SENT_BEFORE,
)

VERSION = "v2"


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A stored message, whether this very call stored it, and what is left of the limit that it was counted by."""

    message: Message
    is_new: bool
    quota: Quota | None = None


def create_conversation_atomic(
    *,
    actor: User,
    help_request_id: UUID,
    helper_id: UUID,
    initial_message: Any,
) -> Conversation:
    """Open a conversation together with its first message, or neither.

    Raises ActingAsAnother unless the actor is the helper, and what `lock_and_check_offer` raises.
    """
    if helper_id != actor.pk:
        raise ActingAsAnother
    conversation, _quota = open_conversation(
        actor=actor,
        help_request_id=help_request_id,
        initial_message=initial_message,
        pair=PAIR_V2,
    )
    return conversation


def open_conversation(
    *,
    actor: User,
    help_request_id: UUID,
    initial_message: Any,
    pair: str,
    news: News | None = None,
    confirm: Callable[[], None] | None = None,
) -> tuple[Conversation, Quota | None]:
    """Open a conversation as `create_conversation_atomic` does; with `news`, count it and note it for the owner.

    `confirm` is called under the lock, before anything is written; it may raise.
    Returns the conversation and what is left of the limit. Raises what `lock_and_check_offer` raises; then RateLimitExceeded.
    """
    with acting_as(actor):
        request, text = lock_and_check_offer(
            helper=actor,
            help_request_id=help_request_id,
            initial_message=initial_message,
            pair=pair,
        )
        if confirm is not None:
            confirm()
        key = uuid4()
        new = {
            "conversation": key,
            "help_request": request.pk,
            "requester": request.user_id,
            "helper": actor.pk,
            "initial_message": text,
        }
        row: Any
        if news is None:
            row = fetch_one(OPEN_CONVERSATION, new)
        else:
            noted = news.values(member=actor, recipient_id=request.user_id, conversation_id=key, version=VERSION)
            (row,) = fetch_last(OPEN_AND_NOTE, new | noted)
        status, created_at, updated_at, *counted = row
        quota = quota_of(news.limit, counted) if news else None
        columns = (*new.values(), status, created_at, updated_at)
        return model_from_row(Conversation, CONVERSATION_COLUMNS, columns), quota


def send_message_v2(
    *,
    actor: User,
    conversation_id: UUID,
    sender_id: UUID,
    content: Any,
    message_id: UUID | None = None,
    news: News | None = None,
) -> SentMessage:
    """Add a message to an active conversation; with the caller's `message_id`, once however often it is called.

    With `news`, a new message is counted, and noted for the other. Raises ActingAsAnother unless the actor is the sender;
    ConversationNotFound; NotApproved; ValidationRefused naming `content`; IdempotencyConflict when the id names another message;
    ConversationInactive, also where one of the two has blocked the other or the other is no member any more; Restricted;
    DailyLimitReached; RateLimitExceeded.
    """
    if sender_id != actor.pk:
        raise ActingAsAnother
    with acting_as(actor):
        conversation, standing = lock_and_read_standing(conversation_id, member=actor)
        require_approved(actor)
        text = normalise_message(content, field="content")
        if message_id is not None:
            sent_before = _message(fetch_one(SENT_BEFORE, {"message": message_id}), conversation)
            if sent_before is not None:
                return SentMessage(_same_message(sent_before, conversation, actor, text), is_new=False)
        if conversation.status != ConversationStatus.ACTIVE or standing.is_apart:
            raise ConversationInactive
        standing.require_may_write()
        new = {"id": message_id or uuid4(), "conversation": conversation.pk, "sender": actor.pk, "content": text}
        row: Any
        quota = None
        if news is None:
            row = fetch_one(SEND_MESSAGE, new)
        else:
            # A message may exist that has the caller's id: then nothing is kept, not even the count.
            write = fetch_last if message_id is None else fetch_all
            (row,) = write(SEND_AND_NOTE, new | _values(news, conversation, member=actor))
            quota = quota_of(news.limit, row[len(MESSAGE_COLUMNS) :])
        message = _message(row, conversation)
        if message is None:
            # The id names a message that this member may not see.
            raise IdempotencyConflict
        return SentMessage(message, is_new=True, quota=quota)


def get_conversation_v2(
    *, actor: User, conversation_id: UUID, reader_id: UUID, before: UUID | None = None
) -> ConversationThread:
    """Return a conversation with its latest messages, oldest first; with the latest of those before `before` when given.

    Raises ActingAsAnother unless the actor is the reader; ConversationNotFound; MessageNotFound for an unknown `before`.
    """
    if reader_id != actor.pk:
        raise ActingAsAnother
    with acting_as(actor):
        return read_conversation(reader=actor, conversation_id=conversation_id, before=before)


def set_status(*, actor: User, conversation_id: UUID, status: ConversationStatus) -> None:
    """Close a conversation; or open it again, as the one who closed it. A trigger keeps who that is.

    Raises ConversationNotFound; ClosedByAnother.
    """
    with acting_as(actor):
        conversation = lock_conversation(conversation_id, member=actor)
        if conversation.status != status:
            others = Closing.objects.filter(conversation_id=conversation.pk).exclude(closed_by=actor)
            if status == ConversationStatus.ACTIVE and others.exists():
                raise ClosedByAnother
            Conversation.objects.filter(pk=conversation.pk).update(status=status, updated_at=ClockTimestamp())


def _values(news: News, conversation: Conversation, *, member: User) -> dict[str, Any]:
    """Return the values of the news that the other member of the conversation gets."""
    other = conversation.helper_id if conversation.requester_id == member.pk else conversation.requester_id
    return news.values(member=member, recipient_id=other, conversation_id=conversation.pk, version=VERSION)


def _message(row: tuple[Any, ...] | None, conversation: Conversation) -> Message | None:
    if row is None or row[0] is None:
        return None
    message = model_from_row(Message, MESSAGE_COLUMNS, row[: len(MESSAGE_COLUMNS)])
    if message.conversation_id == conversation.pk:
        message.conversation = conversation
    return message


def _same_message(message: Message, conversation: Conversation, actor: User, text: str) -> Message:
    if (message.conversation_id, message.sender_id, message.content) != (conversation.pk, actor.pk, text):
        raise IdempotencyConflict
    return message
