"""How the new messaging is read. The caller holds `acting_as`; the policies hold the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from carecollective.core.database import Member, model_from_json, row_as_json
from carecollective.core.pagination import beyond_row
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from carecollective.safety.models import HIDDEN_PLACEHOLDER, HiddenMessage
from messaging_v2.models import Conversation, Message

THREAD_PAGE = 50


@dataclass(frozen=True, slots=True)
class ConversationThread:
    """A conversation with its request, its two people, and a page of messages, oldest first."""

    conversation: Conversation
    messages: Sequence[Message]
    has_older: bool


def conversation_of_pair(*, help_request_id: UUID, helper: Member) -> Conversation | None:
    """Return the helper's conversation about the request, if there is one."""
    return Conversation.objects.filter(help_request=help_request_id, helper=helper.pk).first()


def read_conversation(*, reader: Member, conversation_id: UUID, before: UUID | None) -> ConversationThread:
    """Return the latest messages of a conversation, or the latest before one, in a single query.

    What staff have hidden is a placeholder to everybody: nothing above reads its words from here.

    Raises ConversationNotFound, also for a conversation of others'; MessageNotFound when `before` is not of this one.
    """
    messages = Message.objects.filter(conversation=conversation_id)
    page = messages if before is None else _beyond(messages, before, newer=False)
    latest = page.order_by("-created_at", "-pk")[: THREAD_PAGE + 1]
    conversation = (
        Conversation.objects.visible_to(reader)
        .select_related("help_request", "requester", "helper")
        .annotate(
            latest_messages=ArraySubquery(
                latest.values(json=row_as_json("id", "sender_id", "content", "created_at", "updated_at"))
            ),
            hidden=ArraySubquery(
                HiddenMessage.objects.filter(conversation_id=conversation_id).values(
                    key=Coalesce("message_id", "conversation_id")
                )
            ),
        )
        .filter(pk=conversation_id)
        .first()
    )
    if conversation is None:
        raise ConversationNotFound
    found = [model_from_json(Message, row) for row in vars(conversation)["latest_messages"]]
    hidden = vars(conversation)["hidden"]
    if conversation.pk in hidden:
        conversation.initial_message = str(HIDDEN_PLACEHOLDER)
    for message in found:
        if message.pk in hidden:
            message.content = str(HIDDEN_PLACEHOLDER)
    return ConversationThread(conversation, found[:THREAD_PAGE][::-1], has_older=len(found) > THREAD_PAGE)


def messages_after(*, conversation_id: UUID, after: UUID | None, limit: int) -> Sequence[Message]:
    """Return the messages that came after one, or without `after` the newest; oldest first.

    Raises MessageNotFound when `after` is not of this conversation.
    """
    messages = Message.objects.filter(conversation=conversation_id)
    if after is None:
        found = list(messages.order_by("-created_at", "-pk")[:limit])[::-1]
    else:
        found = list(_beyond(messages, after, newer=True)[:limit])
    return found


def is_said(*, sender: Member, message_id: UUID, words: str) -> bool:
    """Tell whether a message of the sender's holds these words."""
    return Message.objects.filter(pk=message_id, sender=sender.pk, content=words).exists()


def conversations_about(*, help_request_id: UUID) -> Sequence[Conversation]:
    """Return the conversations about a request that the acting member may see, latest activity first, with their helpers.

    A helper who is no member any more is not among them.
    """
    found = Conversation.objects.filter(help_request=help_request_id, helper__is_active=True).select_related("helper")
    return list(found.order_by("-updated_at", "-pk"))


def _beyond(messages: QuerySet[Message], anchor: UUID, *, newer: bool) -> QuerySet[Message]:
    found = beyond_row(messages, anchor, field="created_at", newer=newer)
    if found is None:
        raise MessageNotFound
    return found
