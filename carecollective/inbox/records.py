"""What crosses from the inbox to pages and API: one shape for both versions.

A date that the legacy system did not keep is None, and so is a sender. What has no date is older than all that has one.
The records of which a page holds many are not frozen: that would make each of them cost five times as much. Nothing changes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from carecollective.core.pagination import UNDATED
from carecollective.core.rate_limits import Quota
from carecollective.inbox.queries import MOST_COUNTED
from carecollective.web.dataclass_serializers import PAGE_ONLY
from rollout.versions import MessagingVersion

LegacyDate = Annotated[datetime | None, {"help_text": "Null where the legacy system kept no date."}]
LegacySender = Annotated[UUID | None, {"help_text": "Null where the legacy system kept no sender."}]


@dataclass(slots=True)
class Person:
    id: UUID
    name: str


@dataclass(slots=True)
class RequestSummary:
    id: UUID
    title: str
    status: str | None


@dataclass(slots=True)
class LastMessage:
    """The newest message of a conversation; `id` is None for a V2 conversation's first one, which lives in the conversation.

    What the legacy system wrote by itself carries a member's `sender_id` and is nobody's words; `third` is the author's name
    where that is neither the reader nor the other participant.
    """

    id: Annotated[UUID | None, {"help_text": "Null for the first message of a V2 conversation."}]
    sender_id: LegacySender
    content: str
    created_at: LegacyDate
    is_system: Annotated[bool, PAGE_ONLY] = False
    third: Annotated[str | None, PAGE_ONLY] = None


@dataclass(slots=True)
class ConversationRow:
    """One line of the inbox. `last_message` is None where the first message never arrived (legacy only)."""

    id: UUID
    version: MessagingVersion
    help_request: Annotated[RequestSummary | None, {"help_text": "Null where the request is gone (legacy)."}]
    other_participant: Person | None
    status: str
    last_message: Annotated[LastMessage | None, {"help_text": "Null where the first message never arrived (legacy)."}]
    unread_count: Annotated[
        int,
        {
            "min_value": 0,
            "max_value": MOST_COUNTED,
            "help_text": f"At least 1 for one that was marked as unread; {MOST_COUNTED} stands for that many or more.",
        },
    ]
    updated_at: LegacyDate
    has_new: Annotated[bool, PAGE_ONLY] = False  # else it counts as unread because it was marked so


@dataclass(slots=True)
class MessageRecord:
    """One message; for one that was deleted or moderated, `content` is the sentence shown in its place.

    `id` is None for a V2 conversation's first message, which lives in the conversation. `sender_name` is None where the
    sender is gone, and where nobody asked for names. What the legacy system wrote by itself carries a member's `sender_id`
    and is nobody's words.
    """

    api_name: ClassVar = "Message"

    id: Annotated[UUID | None, {"allow_null": False}]  # the API gives no first message of V2 as a message
    sender_id: LegacySender
    content: Annotated[str, {"help_text": "For a message that was deleted or moderated: the sentence in its place."}]
    created_at: LegacyDate
    updated_at: LegacyDate
    sender_name: Annotated[str | None, PAGE_ONLY] = None
    is_withheld: Annotated[bool, PAGE_ONLY] = False
    is_system: Annotated[bool, PAGE_ONLY] = False
    is_staff: Annotated[bool, PAGE_ONLY] = False
    is_reported: Annotated[bool, PAGE_ONLY] = False  # by the reader


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    api_name: ClassVar = "Conversation"

    id: UUID
    version: MessagingVersion
    help_request_id: UUID | None
    requester_id: UUID | None
    helper_id: UUID | None
    initial_message: Annotated[
        str | None, {"help_text": "What the helper opened with. In V2 it is not repeated among `messages`."}
    ]
    status: str
    created_at: LegacyDate
    updated_at: LegacyDate


@dataclass(frozen=True, slots=True)
class NewerMessages:
    """What a poll brings, oldest first. `has_more` says whether messages are left on the side that it did not reach."""

    messages: Annotated[Sequence[MessageRecord], {"help_text": "Oldest first, at most 200."}]
    has_more: Annotated[
        bool,
        {
            "help_text": "With `after`: newer ones are left, so ask again after the last of these. Without: older ones are"
            " left, which the conversation gives page by page."
        },
    ]


class Shown(StrEnum):
    """Which of a member's conversations a list shows. What is archived comes back with the next message."""

    INBOX = "inbox"
    UNREAD = "unread"
    ARCHIVED = "archived"
    OFFERS = "offers"  # about requests of others
    EVERYTHING = "everything"


class ReadOnlyReason(StrEnum):
    """Why a thread takes no new message."""

    CLOSED = "closed"
    BLOCKED = "blocked"  # by the legacy system
    BLOCKED_BY_YOU = "blocked_by_you"
    OTHER_GONE = "other_gone"  # no member any more
    OTHER_LEFT = "other_left"
    LEGACY_FROZEN = "legacy_frozen"


class WayOn(StrEnum):
    """What a reader of a frozen legacy thread can do to go on."""

    CONTINUE = "continue"  # its helper: open the same request's conversation in the new messaging
    ASK = "ask"  # its requester: ask the helper to
    ASKED = "asked"  # its requester, once asked
    CONTINUED = "continued"  # either: the new conversation exists, `continued_as` names it


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation as one reader sees it: the latest messages, oldest first.

    `messages` are without a V2 conversation's `first_message`; `has_older` says whether others lie before them. `read_to` is
    the time of the newest message that the reader had seen before, None for a conversation never opened here.
    """

    conversation: ConversationRecord
    messages: Sequence[MessageRecord]
    has_older: bool
    help_request: RequestSummary | None
    other_participant: Person | None
    read_only: ReadOnlyReason | None
    first_message: MessageRecord | None = None
    read_to: datetime | None = None
    way_on: WayOn | None = None
    continued_as: UUID | None = None
    asked_to_continue: bool = False  # for the helper: the requester has asked
    may_reopen: bool = False
    writing_paused_until: datetime | None = None  # by staff, and only known when somebody visits the thread
    site_words: Sequence[MessageRecord] = ()  # only pages ask for them
    unread: int | None = None  # in the whole inbox, after a visit; None where nobody has counted

    @property
    def shown(self) -> Sequence[MessageRecord]:
        """What a page shows, oldest first: `first_message` where no others lie between, `messages`, and `site_words`."""
        opening = [] if self.has_older or self.first_message is None else [self.first_message]
        if not self.site_words:
            return [*opening, *self.messages]
        return sorted([*opening, *self.messages, *self.site_words], key=lambda said: said.created_at or UNDATED)


@dataclass(frozen=True, slots=True)
class Started:
    """A conversation that a call has just opened; `quota` is what is left of the limit on opening them."""

    conversation_id: UUID
    version: MessagingVersion
    quota: Quota | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome of a send; `is_new` is False when the same message had already been stored."""

    message: MessageRecord
    version: MessagingVersion
    is_new: bool
    quota: Quota | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """A conversation about a request, as the request's page shows it to its owner."""

    conversation_id: UUID
    version: MessagingVersion
    helper: Person
    updated_at: datetime | None
