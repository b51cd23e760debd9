"""How the legacy messaging is read. The caller holds `acting_as`; policies beside the legacy ones hold the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import JSONObject
from django.utils.translation import gettext as _

from carecollective.core.database import Member
from carecollective.core.errors import ConversationNotFound, MessageNotFound
from carecollective.core.pagination import beyond_row
from messaging_v1.models import Conversation, Message, Participant

THREAD_PAGE = 50


@dataclass(frozen=True, slots=True)
class LegacyPerson:
    id: UUID
    name: str
    has_left: bool


@dataclass(frozen=True, slots=True)
class LegacyMessage:
    """A message as its readers may see it: `content` is a sentence in its place where the legacy system withheld it."""

    id: UUID
    sender_id: UUID
    content: str
    created_at: datetime
    updated_at: datetime
    is_withheld: bool
    is_system: bool


@dataclass(frozen=True, slots=True)
class LegacyThread:
    conversation: Conversation
    people: Sequence[LegacyPerson]
    first_message: str | None
    messages: Sequence[LegacyMessage]
    has_older: bool


def conversation_of_pair(*, help_request_id: UUID, helper: Member) -> Conversation | None:
    """Return the conversation about the request that the helper takes part in and that holds a message.

    One whose first message never arrived is what the legacy failure left; it stands in nobody's way.
    """
    return (
        Conversation.objects.filter(help_request=help_request_id)
        .filter(Exists(Participant.objects.filter(conversation=OuterRef("pk"), user=helper.pk, left_at=None)))
        .filter(Exists(Message.objects.filter(conversation=OuterRef("pk"))))
        .order_by("-last_message_at", "-pk")
        .first()
    )


def read_conversation(*, conversation_id: UUID, before: UUID | None) -> LegacyThread:
    """Return the latest messages of a conversation, or the latest before one, in a single query.

    Raises ConversationNotFound, also for one that the acting member has left or never joined; MessageNotFound when `before`
    is not of this conversation.
    """
    messages = Message.objects.filter(conversation=conversation_id)
    page = messages if before is None else _beyond(messages, before, newer=False)
    fields = JSONObject(
        id="id",
        sender_id="sender_id",
        content="content",
        message_type="message_type",
        moderation_status="moderation_status",
        deleted_at="deleted_at",
        created_at="created_at",
        updated_at="updated_at",
    )
    people = Participant.objects.filter(conversation=OuterRef("pk")).order_by("user_id")
    conversation = (
        Conversation.objects.select_related("help_request")
        .annotate(
            latest=ArraySubquery(page.order_by("-created_at", "-pk")[: THREAD_PAGE + 1].values(json=fields)),
            first=ArraySubquery(messages.order_by("created_at", "pk")[:1].values(json=fields)),
            people=ArraySubquery(people.values(json=JSONObject(id="user_id", name="user__name", left_at="left_at"))),
        )
        .filter(pk=conversation_id)
        .first()
    )
    if conversation is None:
        raise ConversationNotFound()
    found = [_legacy_message(item) for item in conversation.latest]
    return LegacyThread(
        conversation=conversation,
        people=[
            LegacyPerson(UUID(person["id"]), person["name"], has_left=person["left_at"] is not None)
            for person in conversation.people
        ],
        first_message=_legacy_message(conversation.first[0]).content if conversation.first else None,
        messages=found[:THREAD_PAGE][::-1],
        has_older=len(found) > THREAD_PAGE,
    )


def messages_after(*, conversation_id: UUID, after: UUID | None, limit: int) -> Sequence[LegacyMessage]:
    """Return the messages that came after one, or without `after` the newest; oldest first.

    Raises MessageNotFound when `after` is not of this conversation.
    """
    messages = Message.objects.filter(conversation=conversation_id)
    if after is None:
        found = list(messages.order_by("-created_at", "-pk")[:limit])[::-1]
    else:
        found = list(_beyond(messages, after, newer=True)[:limit])
    return [as_seen(message) for message in found]


def is_said(*, sender: Member, message_id: UUID, words: str) -> bool:
    """Tell whether a message of the sender's holds these words."""
    return Message.objects.filter(pk=message_id, sender=sender.pk, content=words).exists()


def conversations_about(*, help_request_id: UUID) -> Sequence[Conversation]:
    """Return the conversations about a request that the acting member may see, latest activity first, with their openers."""
    found = Conversation.objects.filter(help_request=help_request_id).exclude(created_by=F("help_request__user"))
    return list(found.select_related("created_by").order_by("-last_message_at", "-pk"))


def as_seen(message: Message) -> LegacyMessage:
    """Return the message as its readers may see it."""
    is_withheld = is_withheld_row(deleted=message.deleted_at is not None, moderation_status=message.moderation_status)
    return LegacyMessage(
        id=message.pk,
        sender_id=message.sender_id,
        content=placeholder(deleted=message.deleted_at is not None) if is_withheld else message.content,
        created_at=message.created_at,
        updated_at=message.updated_at,
        is_withheld=is_withheld,
        is_system=message.message_type != "text",
    )


def is_withheld_row(*, deleted: bool, moderation_status: str | None) -> bool:
    return deleted or moderation_status in Message.WITHHELD_BY_MODERATORS


def placeholder(*, deleted: bool) -> str:
    """Return what stands in place of a message that is no longer shown."""
    return _("This message was deleted.") if deleted else _("This message was removed by a moderator.")


def _beyond(messages: QuerySet[Message], anchor: UUID, *, newer: bool) -> QuerySet[Message]:
    found = beyond_row(messages, anchor, field="created_at", newer=newer)
    if found is None:
        raise MessageNotFound()
    return found


def _legacy_message(item: dict[str, Any]) -> LegacyMessage:
    moment = datetime.fromisoformat
    return as_seen(
        Message(
            id=UUID(item["id"]),
            sender_id=UUID(item["sender_id"]),
            content=item["content"],
            message_type=item["message_type"],
            moderation_status=item["moderation_status"],
            deleted_at=moment(item["deleted_at"]) if item["deleted_at"] else None,
            created_at=moment(item["created_at"]),
            updated_at=moment(item["updated_at"]),
        )
    )
