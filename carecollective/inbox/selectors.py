"""How conversations are read, both versions as one."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import messaging_v1.selectors as v1
import messaging_v2.selectors as v2
from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_all_as, fetch_one, fetch_one_as
from carecollective.core.errors import DomainError
from carecollective.core.pagination import UNDATED, Cursor, Page, paginate
from carecollective.core.text import normalise_message
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.queries import (
    LISTS,
    LOCATE,
    LOCATED_THREAD,
    LOCATION_COLUMNS,
    PAIR,
    POLL_V2,
    UNREAD,
    without_v2,
)
from carecollective.inbox.records import (
    ConversationRecord,
    ConversationRow,
    LastMessage,
    MessageRecord,
    NewerMessages,
    Offer,
    Person,
    ReadOnlyReason,
    RequestSummary,
    Shown,
    Started,
    Thread,
    WayOn,
)
from carecollective.messaging.errors import ConversationNotFound
from carecollective.messaging.offers import find_refusal
from carecollective.safety.models import HIDDEN_PLACEHOLDER
from messaging_v1.models import Message as LegacyMessage
from messaging_v1.models import content_for_readers
from messaging_v2.models import Message
from rollout.targeting.cohort import v1_writes_are_on, v2_is_installed
from rollout.versions import MessagingVersion

POLL_LIMIT = 200
HELD_CLOSED = (ReadOnlyReason.CLOSED, ReadOnlyReason.BLOCKED_BY_YOU)

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


def list_conversations(
    *, reader: User, shown: Shown = Shown.EVERYTHING, cursor: Cursor | None = None, size: int = 20
) -> Page[ConversationRow]:
    """Return one page of the member's conversations of both versions, newest activity first."""

    def fetch(place: Cursor | None, limit: int) -> Sequence[ConversationRow]:
        kind = "first" if place is None else "newer" if place.newer else "older"
        given: dict[str, Any] = {"reader": reader.pk, "limit": limit, "undated": UNDATED}
        if place is not None:
            given |= {"at": place.at, "key": place.id}
        rows = fetch_all_as(reader, for_tables_at_hand(LISTS[shown, kind]), given)
        return [_conversation_row(row) for row in rows]

    return paginate(fetch, cursor=cursor, size=size, key=lambda row: (row.updated_at or UNDATED, row.id))


def count_unread(*, reader: User) -> int:
    """Return how many messages wait to be read in the conversations of the member's inbox, 100 at most."""
    ((unread,),) = fetch_all_as(reader, for_tables_at_hand(UNREAD), {"reader": reader.pk, "undated": UNDATED})
    return int(unread)


def open_thread(*, reader: User, conversation_id: UUID, before: UUID | None = None, mark_read: bool) -> Thread:
    """Return a conversation with its latest messages, or the latest before one; with `mark_read`, nothing in it is new any more.

    Raises ConversationNotFound, the same for what does not exist and what is others'; MessageNotFound for an unknown `before`.
    """
    if mark_read:
        # A legacy thread takes a second statement: if that fails, nothing is marked.
        with acting_as(reader):
            return _open_thread(reader, conversation_id, before, mark_read=True)
    return _open_thread(reader, conversation_id, before, mark_read=False)


def _open_thread(reader: User, conversation_id: UUID, before: UUID | None, *, mark_read: bool) -> Thread:
    asked = v2.thread_values(reader=reader, conversation_id=conversation_id, before=before)
    statement = for_tables_at_hand(LOCATED_THREAD[v2.place_of_thread(before)])
    row = fetch_one_as(reader, statement, asked | {"mark": mark_read})
    if row is None:
        raise ConversationNotFound
    location = _location(conversation_id, row[:LOCATION_COLUMNS])
    match location.version:
        case MessagingVersion.V2:
            return _thread(v2.thread_of(row[LOCATION_COLUMNS:]), reader, location)
        case MessagingVersion.V1:  # pragma: no branch
            with acting_as(reader):
                legacy = v1.read_conversation(conversation_id=conversation_id, before=before)
            return _legacy_thread(legacy, reader, location)


def messages_after(*, reader: User, conversation_id: UUID, after: UUID | None) -> NewerMessages:
    """Return what has come after a message, or without `after` the newest, at most 200 messages at a time.

    Raises ConversationNotFound; MessageNotFound when `after` is not of this conversation.
    """
    asked_for = POLL_LIMIT + 1
    found = _poll_v2(reader, conversation_id, after, asked_for) if v2_is_installed() else None
    if found is None:
        with acting_as(reader):
            location = locate(reader=reader, conversation_id=conversation_id, mark_read=False)
            old = v1.messages_after(conversation_id=conversation_id, after=after, limit=asked_for)
            found = [_as_seen(legacy_message_record(message), location) for message in old]
    return NewerMessages(found[:POLL_LIMIT] if after else found[-POLL_LIMIT:], has_more=len(found) > POLL_LIMIT)


def offers_on(*, owner: User, help_request_id: UUID) -> Sequence[Offer]:
    """Return who has offered help on the member's own request, latest activity first, both versions."""
    with acting_as(owner):
        new = v2.conversations_about(help_request_id=help_request_id) if v2_is_installed() else ()
        offers = [
            Offer(found.pk, MessagingVersion.V2, Person(found.helper_id, found.helper.name), found.updated_at)
            for found in new
        ] + [
            Offer(found.pk, MessagingVersion.V1, Person(found.created_by.pk, found.created_by.name), found.active_at)
            for found in v1.conversations_about(help_request_id=help_request_id)
            if found.created_by
        ]
    return sorted(offers, key=lambda offer: offer.updated_at or UNDATED, reverse=True)


def conversation_about(*, member: User, help_request_id: UUID) -> Started | None:
    """Return the member's own conversation as a helper about a request, if one stands."""
    with acting_as(member):
        return standing_conversation(helper=member, help_request_id=help_request_id)


def before_offering(*, member: User, help_request: HelpRequest) -> tuple[Started | None, DomainError | None]:
    """Return the member's own conversation about a request; where there is none, why an offer would be refused now."""
    with acting_as(member):
        standing = standing_conversation(helper=member, help_request_id=help_request.pk)
        may_offer = standing is None and help_request.takes_offers and member.is_approved
        return standing, find_refusal(owner_id=help_request.user_id) if may_offer else None


def standing_conversation(*, helper: User, help_request_id: UUID) -> Started | None:
    """Return the pair's conversation of either version, the new messaging first. The caller holds `acting_as`."""
    row = fetch_one(for_tables_at_hand(PAIR), {"help_request": help_request_id, "helper": helper.pk})
    return Started(row[0], MessagingVersion(row[1])) if row else None


def locate(*, reader: User, conversation_id: UUID, mark_read: bool) -> Location:
    """Tell which version a conversation of the member's is. The caller holds `acting_as`. Raises ConversationNotFound."""
    asked = {"reader": reader.pk, "conversation": conversation_id, "mark": mark_read}
    row = fetch_one(for_tables_at_hand(LOCATE), asked)
    if row is None:
        raise ConversationNotFound
    return _location(conversation_id, row)


def _location(conversation_id: UUID, row: Sequence[Any]) -> Location:
    return Location(conversation_id, MessagingVersion(row[0]), *row[1:])


def _poll_v2(reader: User, conversation_id: UUID, after: UUID | None, limit: int) -> list[MessageRecord] | None:
    """Return what a poll brings of a V2 conversation; None if it is not one of the reader's. Raises MessageNotFound."""
    asked = {"reader": reader.pk, "conversation": conversation_id, "anchor": after, "limit": limit}
    row = fetch_one_as(reader, POLL_V2[v2.place_of_poll(after)], asked)
    if row is None:
        return None
    hidden, reported, _key, *rest = row
    records = [MessageRecord(*said) for said in v2.poll_of(rest, after)]
    if not (hidden or reported):
        return records
    return [_as_shown(record, conversation_id, hidden, reported) for record in records]


def is_said_in(location: Location, *, sender: User, message_id: UUID, content: Any) -> bool:
    """Tell whether a message of the sender's holds these words. The caller holds `acting_as`. Raises ValidationRefused."""
    words = normalise_message(content, field="content")
    match location.version:
        case MessagingVersion.V2:
            return v2.is_said(sender=sender, message_id=message_id, words=words)
        case MessagingVersion.V1:  # pragma: no branch
            return v1.is_said(sender=sender, message_id=message_id, words=words)


def for_tables_at_hand(statement: str) -> str:
    """Return the statement without V2's tables where they were dropped. V1 still works then."""
    return statement if v2_is_installed() else without_v2(statement)


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


def _as_seen(record: MessageRecord, location: Location, staff: Container[UUID | None] = ()) -> MessageRecord:
    """Return the message as its reader may see it: a sentence in place of what staff have hidden."""
    record = _as_shown(record, location.conversation_id, location.hidden, location.reported)
    return replace(record, is_staff=True) if record.sender_id in staff and not record.is_system else record


def _as_shown(
    record: MessageRecord, conversation_id: UUID, hidden: Container[UUID], reported: Container[UUID] | None
) -> MessageRecord:
    """Return the message with a sentence in place of what staff have hidden, and a mark where the reader has reported it."""
    key = record.id or conversation_id
    if key in hidden:
        record = replace(record, content=str(HIDDEN_PLACEHOLDER), is_withheld=True)
    return replace(record, is_reported=True) if reported and key in reported else record


def _conversation_row(row: tuple[Any, ...]) -> ConversationRow:
    (key, version, status, activity, request_id, title, request_status, other_id, other_name) = row[:9]
    (last_id, sender_id, content, created_at, is_deleted, moderation_status, is_system, third) = row[9:17]
    unread, is_marked_unread = row[17:]
    has_message = bool(last_id or sender_id)
    content = content_for_readers(content, is_deleted=is_deleted, moderation_status=moderation_status)
    return ConversationRow(
        id=key,
        version=MessagingVersion(version),
        help_request=RequestSummary(request_id, title, request_status) if request_id else None,
        other_participant=Person(other_id, other_name) if other_id else None,
        status=status,
        last_message=LastMessage(last_id, sender_id, content, created_at, is_system, third) if has_message else None,
        unread_count=max(unread, int(is_marked_unread)),
        updated_at=None if activity == UNDATED else activity,
        has_new=unread > 0,
    )


def _thread(found: v2.ConversationThread, reader: User, location: Location) -> Thread:
    conversation = found.conversation
    other = conversation.helper if conversation.requester_id == reader.pk else conversation.requester
    names: Names = {person.pk: person.name for person in (conversation.helper, conversation.requester)}
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
    first_message = _as_seen(first_message, location, staff)
    messages = [MessageRecord(*said, sender_name=names.get(said[1])) for said in found.said]
    if location.hidden or location.reported or staff:
        messages = [_as_seen(message, location, staff) for message in messages]
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


def _legacy_thread(found: v1.LegacyThread, reader: User, location: Location) -> Thread:
    conversation, request = found.conversation, found.conversation.help_request
    other = next((person for person in found.people if person.id != reader.pk), None)
    requester_id, helper_id = _legacy_roles(found, request)
    read_only = _legacy_read_only(found, other, location)
    frozen = read_only is ReadOnlyReason.LEGACY_FROZEN
    names: Names = {person.id: person.name for person in found.people}
    staff = [person.id for person in found.people if person.is_staff]
    first = _as_seen(legacy_message_record(found.first_message), location) if found.first_message else None
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
        messages=[_as_seen(legacy_message_record(message, names), location, staff) for message in found.messages],
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
