"""How the new messaging is read. The caller holds `acting_as`; the policies hold the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from carecollective.accounts.models import User
from carecollective.core import shadow
from carecollective.core.database import Member, acting_as, fetch_one, model_from_row
from carecollective.help_requests.models import HelpRequest
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from carecollective.postgres.backend.prepared import Prepared
from carecollective.safety.models import HIDDEN_PLACEHOLDER
from messaging_v2.models import Conversation, Message
from messaging_v2.statements import CONVERSATION_COLUMNS, MESSAGE_COLUMNS, MESSAGES, THREAD

THREAD_PAGE = 50


# A message as the statements return it: id, sender, words, when it was sent, when it was changed.
Said = tuple[UUID, UUID, str, datetime, datetime]
_REQUEST_COLUMNS = ("id", "title", "status")
_PERSON_COLUMNS = ("id", "name", "is_staff", "is_active")
_THREADS = {place: Prepared(statement) for place, statement in THREAD.items()}
_MESSAGES = {place: Prepared(statement) for place, statement in MESSAGES.items()}


@dataclass(frozen=True, slots=True)
class ConversationThread:
    """A conversation with its request, its two people, and a page of what was said, oldest first."""

    conversation: Conversation
    said: Sequence[Said]
    has_older: bool

    @property
    def messages(self) -> Sequence[Message]:
        """The same as models."""
        return [_message(self.conversation.pk, said) for said in self.said]


def read_conversation(*, reader: Member, conversation_id: UUID, before: UUID | None) -> ConversationThread:
    """Return the latest messages of a conversation, or the latest before one, in a single query.

    What staff have hidden is a placeholder to everybody: nothing above reads its words from here.

    Raises ConversationNotFound, also for a conversation of others'; MessageNotFound when `before` is not of this one.
    """
    row = fetch_one(
        _THREADS[place_of_thread(before)], thread_values(reader=reader, conversation_id=conversation_id, before=before)
    )
    if row is None:
        raise ConversationNotFound
    return thread_of(row, reader=reader)


def place_of_thread(before: UUID | None) -> str:
    """Return which of THREAD reads the messages before one, or the latest."""
    return "latest" if before is None else "older"


def thread_values(*, reader: Member, conversation_id: UUID, before: UUID | None) -> dict[str, Any]:
    """Return the values of THREAD. One more message than a page shows says that others are left."""
    return {"reader": reader.pk, "conversation": conversation_id, "anchor": before, "limit": THREAD_PAGE + 1}


def thread_of(row: Sequence[Any], *, reader: Member) -> ConversationThread:
    """Return the thread of a row of THREAD. Raises MessageNotFound when it was asked for a message of another conversation."""
    columns, (title, request_status), people = row[:8], row[8:10], row[10:16]
    hidden, is_known, said = row[16], row[17], said_of(row[18:])
    if not is_known:
        raise MessageNotFound
    _compare_with_orm(reader, columns[0], said)
    conversation = model_from_row(Conversation, CONVERSATION_COLUMNS, columns)
    request_row = (conversation.help_request_id, title, request_status)
    conversation.help_request = model_from_row(HelpRequest, _REQUEST_COLUMNS, request_row)
    conversation.requester = model_from_row(User, _PERSON_COLUMNS, (conversation.requester_id, *people[:3]))
    conversation.helper = model_from_row(User, _PERSON_COLUMNS, (conversation.helper_id, *people[3:]))
    if hidden:
        if conversation.pk in hidden:
            conversation.initial_message = str(HIDDEN_PLACEHOLDER)
        said = [(one[0], one[1], str(HIDDEN_PLACEHOLDER), *one[3:]) if one[0] in hidden else one for one in said]
    return ConversationThread(conversation, said[:THREAD_PAGE][::-1], has_older=len(said) > THREAD_PAGE)


def said_of(columns: Sequence[Any]) -> list[Said]:
    """Return the messages of a row of MESSAGES or THREAD, from the columns' arrays."""
    return [] if columns[0] is None else list(zip(*columns, strict=True))


def messages_after(*, reader: Member, conversation_id: UUID, after: UUID | None, limit: int) -> Sequence[Message]:
    """Return the messages that came after one, or without `after` the newest; oldest first.

    Raises ConversationNotFound; MessageNotFound when `after` is not of this conversation.
    """
    row = fetch_one(
        _MESSAGES[place_of_poll(after)],
        {"reader": reader.pk, "conversation": conversation_id, "anchor": after, "limit": limit},
    )
    if row is None:
        raise ConversationNotFound
    return [_message(conversation_id, said) for said in poll_of(row, after, reader=reader)]


def place_of_poll(after: UUID | None) -> str:
    """Return which of MESSAGES reads the messages after one, or the latest."""
    return "latest" if after is None else "newer"


def poll_of(row: Sequence[Any], after: UUID | None, *, reader: Member) -> Sequence[Said]:
    """Return the messages of a row of MESSAGES, oldest first. Raises MessageNotFound."""
    conversation_id, is_known, said = row[0], row[1], said_of(row[2:])
    if not is_known:
        raise MessageNotFound
    newest_first = said[::-1] if after else said
    _compare_with_orm(reader, conversation_id, newest_first)
    return said if after else said[::-1]


def _compare_with_orm(reader: Member, conversation_id: UUID, said: Sequence[Said]) -> None:
    """Compare messages, the newest first, with as many of the ORM's up to the newest of them: others may come meanwhile."""

    def by_orm() -> Sequence[Said]:
        key, at = said[0][0], said[0][3]
        with acting_as(reader):
            known = Message.objects.filter(
                Q(created_at__lt=at) | Q(created_at=at, pk__lte=key), conversation=conversation_id
            )
            columns = ("id", "sender_id", "content", "created_at", "updated_at")
            return list(known.order_by("-created_at", "-pk").values_list(*columns)[: len(said)])

    if said:
        shadow.compare("messages", said, by_orm)


def is_said(*, sender: Member, message_id: UUID, words: str) -> bool:
    """Tell whether a message of the sender's holds these words."""
    return Message.objects.filter(pk=message_id, sender=sender.pk, content=words).exists()


def conversations_about(*, help_request_id: UUID) -> Sequence[Conversation]:
    """Return the conversations about a request that the acting member may see, latest activity first, with their helpers.

    A helper who is no member any more is not among them.
    """
    found = Conversation.objects.filter(help_request=help_request_id, helper__is_active=True).select_related("helper")
    return list(found.order_by("-updated_at", "-pk"))


def _message(conversation_id: UUID, said: Said) -> Message:
    key, sender_id, content, created_at, updated_at = said
    values = (key, conversation_id, sender_id, content, created_at, updated_at)
    return model_from_row(Message, MESSAGE_COLUMNS, values)
