"""Rows and models of either version, made into the inbox's records."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import messaging_v1.selectors as v1
import messaging_v2.selectors as v2
from carecollective.accounts.models import User
from carecollective.core.pagination import UNDATED
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.records import (
    ConversationRecord,
    ConversationRow,
    LastMessage,
    MessageRecord,
    Person,
    ReadOnlyReason,
    RequestSummary,
    Thread,
    WayOn,
)
from carecollective.safety.models import HIDDEN_PLACEHOLDER
from messaging_v1.models import Message as LegacyMessage
from messaging_v1.models import content_for_readers
from messaging_v2.models import Message
from rollout.targeting.cohort import v1_writes_are_on
from rollout.versions import MessagingVersion

HELD_CLOSED = (ReadOnlyReason.CLOSED, ReadOnlyReason.BLOCKED_BY_YOU)

_VERSIONS = {version.value: version for version in MessagingVersion}
Names = Mapping[UUID | None, str]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a conversation lives, what holds it closed, and up to where the reader had read it before.

    For a legacy one also the new conversation of the same pair, and whether it was asked for. `blocked_by_me` is None where
    nobody has blocked the other.
    """

    conversation_id: UUID
    version: MessagingVersion
    continued_as: UUID | None
    asked_to_continue: bool
    blocked_by_me: bool | None
    closed_by: UUID | None
    hidden: Sequence[UUID]
    reported: Sequence[UUID] | None
    read_to: datetime | None
    writing_paused_until: datetime | None


def message_record(message: Message, names: Names | None = None) -> MessageRecord:
    return MessageRecord(
        message.pk,
        message.sender_id,
        message.content,
        message.created_at,
        message.updated_at,
        sender_name=(names or {}).get(message.sender_id),
    )


def legacy_message_record(message: LegacyMessage, names: Names | None = None) -> MessageRecord:
    return MessageRecord(
        message.pk,
        message.sender_id,
        message.shown,
        message.created_at,
        message.updated_at,
        sender_name=(names or {}).get(message.sender_id),
        is_withheld=message.is_withheld,
        is_system=message.is_system,
    )


def as_seen(record: MessageRecord, location: Location, staff: Container[UUID | None] = ()) -> MessageRecord:
    """Return the message as its reader may see it: a sentence in place of what staff have hidden."""
    record = as_shown(record, location.conversation_id, location.hidden, location.reported)
    return replace(record, is_staff=True) if record.sender_id in staff and not record.is_system else record


def as_shown(
    record: MessageRecord, conversation_id: UUID, hidden: Container[UUID], reported: Container[UUID] | None
) -> MessageRecord:
    """Return the message with a sentence in place of what staff have hidden, and a mark where the reader has reported it."""
    key = record.id or conversation_id
    if key in hidden:
        record = replace(record, content=str(HIDDEN_PLACEHOLDER), is_withheld=True)
    return replace(record, is_reported=True) if reported and key in reported else record


def conversation_row(row: tuple[Any, ...]) -> ConversationRow:
    (key, version, status, activity, request_id, title, request_status, other_id, other_name) = row[:9]
    (last_id, sender_id, content, created_at, is_deleted, moderation_status, is_system, third) = row[9:17]
    unread, is_marked_unread = row[17:]
    has_message = bool(last_id or sender_id)
    content = content_for_readers(content, is_deleted=is_deleted, moderation_status=moderation_status)
    return ConversationRow(
        id=key,
        version=_VERSIONS[version],
        help_request=RequestSummary(request_id, title, request_status) if request_id else None,
        other_participant=Person(other_id, other_name) if other_id else None,
        status=status,
        last_message=LastMessage(last_id, sender_id, content, created_at, is_system, third) if has_message else None,
        unread_count=max(unread, int(is_marked_unread)),
        updated_at=None if activity == UNDATED else activity,
        has_new=unread > 0,
    )


def thread_record(found: v2.ConversationThread, reader: User, location: Location) -> Thread:
    conversation = found.conversation
    other = conversation.helper if conversation.requester_id == reader.pk else conversation.requester
    # By the number of an id: comparing ids themselves takes as long as making the record.
    names = {person.pk.int: person.name for person in (conversation.helper, conversation.requester)}
    read_only = _read_only(location, is_closed=conversation.status != "active", is_gone=not other.is_active)
    staff = [person.pk for person in (conversation.helper, conversation.requester) if person.is_staff]
    first_message = MessageRecord(
        None,
        conversation.helper_id,
        conversation.initial_message,
        conversation.created_at,
        conversation.created_at,
        sender_name=conversation.helper.name,
    )
    first_message = as_seen(first_message, location, staff)
    messages = [MessageRecord(*said, names.get(said[1].int)) for said in found.said]
    if location.hidden or location.reported or staff:
        messages = [as_seen(message, location, staff) for message in messages]
    return Thread(
        conversation=ConversationRecord(
            id=conversation.pk,
            version=MessagingVersion.V2,
            help_request_id=conversation.help_request_id,
            requester_id=conversation.requester_id,
            helper_id=conversation.helper_id,
            initial_message=first_message.content,
            status="closed" if read_only in HELD_CLOSED else conversation.status,
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
        ),
        messages=messages,
        has_older=found.has_older,
        first_message=first_message,
        help_request=_summary(conversation.help_request),
        other_participant=Person(other.pk, other.name),
        read_only=read_only,
        read_to=location.read_to,
        may_reopen=read_only is ReadOnlyReason.CLOSED and _may_reopen(location, reader, was_kept=False),
        writing_paused_until=location.writing_paused_until,
    )


def legacy_thread_record(found: v1.LegacyThread, reader: User, location: Location) -> Thread:
    conversation, request = found.conversation, found.conversation.help_request
    other = next((person for person in found.people if person.id != reader.pk), None)
    requester_id, helper_id = _legacy_roles(found, request)
    read_only = _legacy_read_only(found, other, location)
    frozen = read_only is ReadOnlyReason.LEGACY_FROZEN
    names: Names = {person.id: person.name for person in found.people}
    staff = [person.id for person in found.people if person.is_staff]
    first = as_seen(legacy_message_record(found.first_message), location) if found.first_message else None
    return Thread(
        conversation=ConversationRecord(
            id=conversation.pk,
            version=MessagingVersion.V1,
            help_request_id=conversation.help_request_id,
            requester_id=requester_id,
            helper_id=helper_id,
            initial_message=first.content if first else None,
            status=_legacy_status(conversation.status, read_only),
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
        ),
        messages=[as_seen(legacy_message_record(message, names), location, staff) for message in found.messages],
        has_older=found.has_older,
        help_request=_summary(request) if request else None,
        other_participant=Person(other.id, other.name) if other else None,
        read_only=read_only,
        read_to=location.read_to,
        way_on=_way_on(location, is_helper=reader.pk == helper_id, request=request) if frozen else None,
        continued_as=location.continued_as,
        asked_to_continue=location.asked_to_continue,
        may_reopen=read_only is ReadOnlyReason.CLOSED and _may_reopen(location, reader, was_kept=True),
        writing_paused_until=location.writing_paused_until,
    )


def _read_only(location: Location, *, is_closed: bool, is_gone: bool) -> ReadOnlyReason | None:
    """Tell what holds a conversation closed in either version. Blocked by the other, it reads as closed and no more."""
    if location.blocked_by_me:
        return ReadOnlyReason.BLOCKED_BY_YOU
    if is_gone:
        return ReadOnlyReason.OTHER_GONE
    if is_closed or location.closed_by is not None or location.blocked_by_me is False:
        return ReadOnlyReason.CLOSED
    return None


def _may_reopen(location: Location, reader: User, *, was_kept: bool) -> bool:
    """Tell whether the reader closed the conversation. V2 kept nobody's name before closings did: then either side may."""
    if location.blocked_by_me is False:
        return False
    return location.closed_by == reader.pk or (location.closed_by is None and not was_kept)


def _legacy_roles(found: v1.LegacyThread, request: HelpRequest | None) -> tuple[UUID | None, UUID | None]:
    """Return the requester and the helper. Without the request, whoever opened the conversation was the helper."""
    requester_id = request.user_id if request else None
    people = [person.id for person in found.people]
    if requester_id not in people:
        helper_id = found.conversation.created_by_id
        return next((person for person in people if person != helper_id), None), helper_id
    return requester_id, next((person for person in people if person != requester_id), None)


def _legacy_status(status: str | None, read_only: ReadOnlyReason | None) -> str:
    return "closed" if read_only in HELD_CLOSED and status in (None, "active") else status or "active"


def _legacy_read_only(
    found: v1.LegacyThread, other: v1.LegacyPerson | None, location: Location
) -> ReadOnlyReason | None:
    if found.conversation.status == "blocked" and not location.blocked_by_me:
        return ReadOnlyReason.BLOCKED
    is_closed = found.conversation.status not in (None, "active")
    ours = _read_only(location, is_closed=is_closed, is_gone=other is not None and other.is_gone)
    if ours:
        return ours
    if other is None or other.has_left:
        return ReadOnlyReason.OTHER_LEFT
    return None if v1_writes_are_on() else ReadOnlyReason.LEGACY_FROZEN


def _way_on(location: Location, *, is_helper: bool, request: HelpRequest | None) -> WayOn | None:
    if location.continued_as:
        return WayOn.CONTINUED
    if request is None or not request.is_available:
        return None
    if is_helper:
        return WayOn.CONTINUE
    return WayOn.ASKED if location.asked_to_continue else WayOn.ASK


def _summary(request: HelpRequest) -> RequestSummary:
    return RequestSummary(request.pk, request.title, request.status)
