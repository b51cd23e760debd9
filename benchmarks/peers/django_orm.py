"""The five operations by Django's ORM, bare: what stands behind both the ninja and the REST framework peer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection, transaction
from django.db.models import Count, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, JSONObject
from django.http import Http404

from benchmarks.peers.answers import digest_of
from benchmarks.peers.models import ClockTimestamp, Conversation, HelpRequest, Message, Profile, ReadPointer, Token

LONG_AGO = Value(datetime(1, 1, 1, tzinfo=UTC))


class NotSignedIn(Exception):
    pass


class Standing(Exception):
    pass


@contextmanager
def acting(authorization: str) -> Iterator[Profile]:
    """Run one transaction as the member of a token."""
    with transaction.atomic():
        alive = Q(expiry=None) | Q(expiry__gt=ClockTimestamp())
        tokens = Token.objects.select_related("user")
        found = tokens.filter(alive, digest=digest_of(authorization), user__is_active=True).first()
        if found is None:
            raise NotSignedIn
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.user_id', %s, true)", [str(found.user_id)])
        yield found.user


def start(member: Profile, request_id: UUID, words: str) -> Conversation:
    request = HelpRequest.objects.select_for_update(no_key=True).filter(pk=request_id).first()
    if request is None or request.status not in ("open", "in_progress"):
        raise Http404
    if Conversation.objects.filter(help_request=request, helper=member).exists():
        raise Standing
    return Conversation.objects.create(
        help_request=request, requester_id=request.user_id, helper=member, initial_message=words
    )


def send(member: Profile, conversation_id: UUID, words: str) -> Message:
    conversation = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation_id).first()
    if conversation is None or conversation.status != "active":
        raise Http404
    message = Message.objects.create(conversation=conversation, sender=member, content=words)
    Conversation.objects.filter(pk=conversation_id).update(updated_at=message.created_at)
    return message


def inbox(member: Profile) -> list[Conversation]:
    """Return the latest conversations, each with `newest`, `unread_count` and `other`."""
    pointer = ReadPointer.objects.filter(member_id=member.pk, conversation_id=OuterRef("pk")).values("read_to")
    messages = Message.objects.filter(conversation=OuterRef("pk"))
    columns = {column: column for column in ("id", "sender_id", "content", "created_at")}
    newest = messages.order_by("-created_at", "-pk").values(json=JSONObject(**columns))[:1]
    unread = (
        messages.exclude(sender=member)
        .filter(created_at__gt=OuterRef("read_to"))
        .order_by()
        .values("conversation")
        .annotate(count=Count("pk"))
        .values("count")
    )
    found = (
        Conversation.objects.filter(Q(requester=member) | Q(helper=member))
        .select_related("help_request", "requester", "helper")
        .annotate(read_to=Coalesce(Subquery(pointer), LONG_AGO), newest=ArraySubquery(newest))
        .annotate(unread=Coalesce(Subquery(unread), 0))
        .order_by("-updated_at", "-pk")[:21]
    )
    return [_as_seen_by(member, conversation) for conversation in found]


def thread(member: Profile, conversation_id: UUID) -> tuple[Conversation, Sequence[Message]]:
    conversation = _visible(member, conversation_id)
    return conversation, list(conversation.messages.order_by("-created_at", "-pk")[:50])[::-1]


def newer(member: Profile, conversation_id: UUID, after: UUID) -> Sequence[Message]:
    conversation = _visible(member, conversation_id)
    anchor = conversation.messages.filter(pk=after).first()
    if anchor is None:
        raise Http404
    later = Q(created_at__gt=anchor.created_at) | Q(created_at=anchor.created_at, pk__gt=anchor.pk)
    return list(
        conversation.messages.filter(later, created_at__gte=anchor.created_at).order_by("created_at", "pk")[:201]
    )


def _visible(member: Profile, conversation_id: UUID) -> Conversation:
    found = Conversation.objects.filter(Q(requester=member) | Q(helper=member), pk=conversation_id).first()
    if found is None:
        raise Http404
    return found


def _as_seen_by(member: Profile, conversation: Any) -> Any:
    is_helper = conversation.helper_id == member.pk
    conversation.other = conversation.requester if is_helper else conversation.helper
    is_first_new = not is_helper and conversation.created_at > conversation.read_to
    conversation.unread_count = conversation.unread + int(is_first_new)
    conversation.last_message = (
        conversation.newest[0]
        if conversation.newest
        else {
            "id": None,
            "sender_id": conversation.helper_id,
            "content": conversation.initial_message,
            "created_at": conversation.created_at,
        }
    )
    return conversation
