"""How conversations are read, both versions as one."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import messaging_v1.selectors as v1
import messaging_v2.selectors as v2
from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_all_as, fetch_one, fetch_one_as, fetch_one_as_and_next
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
    ConversationRow,
    MessageRecord,
    NewerMessages,
    Offer,
    Person,
    Shown,
    Started,
    Thread,
)
from carecollective.inbox.shapes import (
    Location,
    as_seen,
    as_shown,
    conversation_row,
    legacy_message_record,
    legacy_thread_record,
    thread_record,
)
from carecollective.messaging.errors import ConversationNotFound
from carecollective.messaging.offers import find_refusal
from rollout.targeting.cohort import v2_is_installed
from rollout.versions import MessagingVersion

POLL_LIMIT = 200


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
        return [conversation_row(row) for row in rows]

    return paginate(fetch, cursor=cursor, size=size, key=lambda row: (row.updated_at or UNDATED, row.id))


def count_unread(*, reader: User) -> int:
    """Return how many messages wait to be read in the conversations of the member's inbox, 100 at most."""
    ((unread,),) = fetch_all_as(reader, *unread_asked(reader))
    return int(unread)


def unread_asked(reader: User) -> tuple[str, dict[str, Any]]:
    """Return the statement that counts as `count_unread` does, with its values, to be asked along with another."""
    return for_tables_at_hand(UNREAD), {"reader": reader.pk, "undated": UNDATED}


def unread_found(rows: Sequence[tuple[Any, ...]] | None) -> int | None:
    """Return what that statement has counted; None where it failed."""
    return rows[0][0] if rows else None


def open_thread(*, reader: User, conversation_id: UUID, before: UUID | None = None, mark_read: bool) -> Thread:
    """Return a conversation with its latest messages, or the latest before one; with `mark_read`, nothing in it is new any more.

    Raises ConversationNotFound, the same for what does not exist and what is others'; MessageNotFound for an unknown `before`.
    """
    asked = thread_asked(reader=reader, conversation_id=conversation_id, before=before, mark_read=mark_read)
    row = fetch_one_as(reader, *asked)
    return thread_found(row, reader=reader, conversation_id=conversation_id, before=before, mark_read=mark_read)


def thread_asked(
    *, reader: User, conversation_id: UUID, before: UUID | None, mark_read: bool
) -> tuple[str, dict[str, Any]]:
    """Return the statement that reads a thread of the new messaging and locates a legacy one, with its values."""
    asked = v2.thread_values(reader=reader, conversation_id=conversation_id, before=before)
    return for_tables_at_hand(LOCATED_THREAD[v2.place_of_thread(before)]), asked | {"mark": mark_read}


def is_legacy_thread(row: Sequence[Any] | None) -> bool:
    """Tell whether the row of `thread_asked` is of a legacy thread, which `thread_found` reads."""
    return row is not None and row[0] == MessagingVersion.V1


def thread_found(
    row: Sequence[Any] | None, *, reader: User, conversation_id: UUID, before: UUID | None, mark_read: bool
) -> Thread:
    """Return the thread from the row of `thread_asked`. A legacy thread is read and marked here, in one transaction.

    Raises ConversationNotFound; MessageNotFound for an unknown `before`.
    """
    if row is None:
        raise ConversationNotFound
    location = _location(conversation_id, row[:LOCATION_COLUMNS])
    match location.version:
        case MessagingVersion.V2:
            return thread_record(v2.thread_of(row[LOCATION_COLUMNS:], reader=reader), reader, location)
        case MessagingVersion.V1:  # pragma: no branch
            with acting_as(reader):
                if mark_read:
                    locate(reader=reader, conversation_id=conversation_id, mark_read=True)
                legacy = v1.read_conversation(conversation_id=conversation_id, before=before)
            return legacy_thread_record(legacy, reader, location)


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
            found = [as_seen(legacy_message_record(message), location) for message in old]
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


def before_offering(
    *, member: User, help_request: HelpRequest
) -> tuple[Started | None, DomainError | None, int | None]:
    """Return the member's own conversation about a request; where there is none, why an offer would be refused now.

    Further, how much they have to read, as `count_unread` counts it: None where that was not found on the way.
    """
    asked = _pair_asked(helper=member, help_request_id=help_request.pk)
    row, unread = fetch_one_as_and_next(member, asked, *unread_asked(member))
    refusal = None
    if row is None and help_request.takes_offers and member.is_approved:
        with acting_as(member):
            refusal = find_refusal(owner_id=help_request.user_id)
    return _standing(row), refusal, unread_found(unread)


def standing_conversation(*, helper: User, help_request_id: UUID) -> Started | None:
    """Return the pair's conversation of either version, the new messaging first. The caller holds `acting_as`."""
    return _standing(fetch_one(*_pair_asked(helper=helper, help_request_id=help_request_id)))


def _pair_asked(*, helper: User, help_request_id: UUID) -> tuple[str, dict[str, Any]]:
    return for_tables_at_hand(PAIR), {"help_request": help_request_id, "helper": helper.pk}


def _standing(row: Sequence[Any] | None) -> Started | None:
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
    hidden, reported, *rest = row
    records = [MessageRecord(*said) for said in v2.poll_of(rest, after, reader=reader)]
    if not (hidden or reported):
        return records
    return [as_shown(record, conversation_id, hidden, reported) for record in records]


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
