"""How the legacy messaging is read. The caller holds `acting_as`; policies beside the legacy ones hold the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import JSONObject

from carecollective.core.database import Member, model_from_json, row_as_json
from carecollective.core.pagination import Cursor, beyond
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from messaging_v1.models import Conversation, Message, Participant

THREAD_PAGE = 50


@dataclass(frozen=True, slots=True)
class LegacyPerson:
    id: UUID
    name: str
    has_left: bool
    is_gone: bool
    is_staff: bool


@dataclass(frozen=True, slots=True)
class LegacyThread:
    conversation: Conversation
    people: Sequence[LegacyPerson]
    first_message: Message | None
    messages: Sequence[Message]
    has_older: bool


def conversation_of_pair(*, help_request_id: UUID, helper: Member) -> Conversation | None:
    """Return the conversation about the request that the helper takes part in and that holds a message.

    One whose first message never arrived is what the legacy failure left; it stands in nobody's way.
    """
    return (
        Conversation.objects.filter(help_request=help_request_id)
        .filter(Exists(Participant.objects.filter(conversation=OuterRef("pk"), user=helper.pk, left_at=None)))
        .filter(Exists(Message.objects.filter(conversation=OuterRef("pk"))))
        .order_by(F("last_message_at").desc(nulls_last=True), "-pk")
        .first()
    )


def read_conversation(*, conversation_id: UUID, before: UUID | None) -> LegacyThread:
    """Return the latest messages of a conversation, or the latest before one, in a single query.

    Raises ConversationNotFound, also for one that the acting member has left or never joined; MessageNotFound when `before`
    is not of this conversation.
    """
    messages = Message.objects.filter(conversation=conversation_id)
    dated, undated = _split(messages, before, newer=False)
    without_date = messages.filter(created_at=None)
    columns = ("id", "sender_id", "content", "message_type", "created_at", "updated_at")
    as_json = row_as_json(*columns, "moderation_status", "deleted_at")
    person = JSONObject(
        id="user_id", name="user__name", left_at="left_at", is_active="user__is_active", is_staff="user__is_staff"
    )
    people = Participant.objects.filter(conversation=OuterRef("pk")).order_by("user_id")
    conversation = (
        Conversation.objects.select_related("help_request")
        .annotate(
            dated=ArraySubquery(dated.order_by("-created_at", "-pk")[: THREAD_PAGE + 1].values(json=as_json)),
            undated=ArraySubquery(undated.order_by("-pk")[: THREAD_PAGE + 1].values(json=as_json)),
            first_undated=ArraySubquery(without_date.order_by("pk")[:1].values(json=as_json)),
            first_dated=ArraySubquery(messages.order_by("created_at", "pk")[:1].values(json=as_json)),
            people=ArraySubquery(people.values(json=person)),
        )
        .filter(pk=conversation_id)
        .first()
    )
    if conversation is None:
        raise ConversationNotFound
    rows = [*conversation.dated, *conversation.undated][: THREAD_PAGE + 1]
    found = [model_from_json(Message, row) for row in rows]
    first = [*conversation.first_undated, *conversation.first_dated][:1]
    return LegacyThread(
        conversation=conversation,
        people=[
            LegacyPerson(
                UUID(one["id"]),
                one["name"],
                has_left=one["left_at"] is not None,
                is_gone=not one["is_active"],
                is_staff=one["is_staff"],
            )
            for one in conversation.people
        ],
        first_message=model_from_json(Message, first[0]) if first else None,
        messages=found[:THREAD_PAGE][::-1],
        has_older=len(found) > THREAD_PAGE,
    )


def messages_after(*, conversation_id: UUID, after: UUID | None, limit: int) -> Sequence[Message]:
    """Return the messages that came after one, or without `after` the newest; oldest first.

    Raises MessageNotFound when `after` is not of this conversation.
    """
    messages = Message.objects.filter(conversation=conversation_id)
    dated, undated = _split(messages, after, newer=True)
    if after is None:
        newest = [*dated.order_by("-created_at", "-pk")[:limit], *undated.order_by("-pk")[:limit]]
        found = newest[:limit][::-1]
    else:
        found = [*undated.order_by("pk")[:limit], *dated.order_by("created_at", "pk")[:limit]][:limit]
    return found


def is_said(*, sender: Member, message_id: UUID, words: str) -> bool:
    """Tell whether a message of the sender's holds these words."""
    return Message.objects.filter(pk=message_id, sender=sender.pk, content=words).exists()


def conversations_about(*, help_request_id: UUID) -> Sequence[Conversation]:
    """Return the conversations about a request that the acting member may see, latest activity first, with their openers.

    An opener who is no member any more is not among them.
    """
    found = Conversation.objects.filter(help_request=help_request_id, created_by__is_active=True)
    found = found.exclude(created_by=F("help_request__user"))
    return list(found.select_related("created_by").order_by(F("last_message_at").desc(nulls_last=True), "-pk"))


def _split(
    messages: QuerySet[Message], anchor: UUID | None, *, newer: bool
) -> tuple[QuerySet[Message], QuerySet[Message]]:
    """Return the messages beyond `anchor`, those with a date and those without, which are older. Raises MessageNotFound.

    Two queries, so that each can be read along the legacy index.
    """
    dated, undated = messages.filter(created_at__isnull=False), messages.filter(created_at=None)
    if anchor is None:
        return dated, undated
    row = messages.filter(pk=anchor).only("created_at").first()
    if row is None:
        raise MessageNotFound
    if row.created_at is None:
        beside = undated.filter(pk__gt=anchor) if newer else undated.filter(pk__lt=anchor)
        return (dated if newer else dated.filter(pk=anchor)), beside
    return beyond(dated, Cursor(row.created_at, anchor, newer), field="created_at"), (
        undated.filter(pk=anchor) if newer else undated
    )
