"""Tries the three operations as the web role, in another member's name. Everything is rolled back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.db import DatabaseError, connection, transaction
from psycopg.errors import InsufficientPrivilege

from carecollective.accounts.models import User, VerificationStatus
from carecollective.core.database import acting_as, discarding_changes
from carecollective.core.errors import ActingAsAnother, DomainError
from carecollective.messaging.errors import ConversationNotFound
from carecollective.operations.verification.checks import Check, compare
from messaging_v1.models import Conversation as LegacyConversation
from messaging_v1.services import send_legacy_message
from messaging_v2 import services

GROUP = "2 Operations"
WORDS = "A trial of the verification, which nobody will ever read."
REFUSED = "refuses"
_REMEDY = (
    "Members could act for others, or read what is not theirs: `manage.py rollout rollback --reason …`, then put right"
    " what else differs."
)
TO_THE_TOP = "comes to the top"
_ORDER_REMEDY = (
    "As the owner, give messages an AFTER INSERT trigger again that sets last_message_at and updated_at of the message's"
    " row in conversations to its created_at; `manage.py adopt_legacy --check` writes one out."
)

_OPEN = "INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message) VALUES (%s, %s, %s, %s, %s)"
_SEND = "INSERT INTO messages_v2 (id, conversation_id, sender_id, content) VALUES (%s, %s, %s, %s)"
_READ = "SELECT (SELECT count(*) FROM conversations_v2) + (SELECT count(*) FROM messages_v2)"
_CLOSE = "UPDATE conversations_v2 SET status = 'closed'"


@dataclass(frozen=True, slots=True)
class Sample:
    """An existing conversation and its two members; made up if there is none."""

    conversation: UUID
    help_request: UUID
    requester: UUID
    helper: UUID


def try_operations(sample: Sample | None) -> Iterator[Check]:
    """Call each operation in another's name, by the service and directly in SQL. The connection is the web role's."""
    case = sample or Sample(uuid4(), uuid4(), uuid4(), uuid4())
    stranger = User(pk=uuid4(), name="Nobody", verification_status=VerificationStatus.APPROVED)
    attempts: Mapping[str, tuple[Callable[[], object], type[Exception]]] = {
        "create_conversation_atomic for another": (
            lambda: services.create_conversation_atomic(
                actor=stranger, help_request_id=case.help_request, helper_id=case.helper, initial_message=WORDS
            ),
            ActingAsAnother,
        ),
        "send_message_v2 for another": (
            lambda: services.send_message_v2(
                actor=stranger, conversation_id=case.conversation, sender_id=case.helper, content=WORDS
            ),
            ActingAsAnother,
        ),
        "get_conversation_v2 for another": (
            lambda: services.get_conversation_v2(
                actor=stranger, conversation_id=case.conversation, reader_id=case.helper
            ),
            ActingAsAnother,
        ),
        "get_conversation_v2 by a stranger": (
            lambda: services.get_conversation_v2(
                actor=stranger, conversation_id=case.conversation, reader_id=stranger.pk
            ),
            ConversationNotFound,
        ),
        "the database, to open for another": (
            lambda: _execute(stranger, _OPEN, [uuid4(), case.help_request, case.requester, case.helper, WORDS]),
            InsufficientPrivilege,
        ),
        "the database, to send for another": (
            lambda: _execute(stranger, _SEND, [uuid4(), case.conversation, case.helper, WORDS]),
            InsufficientPrivilege,
        ),
    }
    for name, (attempt, refusal) in attempts.items():
        yield compare(GROUP, name, REFUSED, _call(attempt, refusal), _REMEDY)
    for name, statement in (("shown to", _READ), ("closed by", _CLOSE)):
        yield compare(GROUP, f"the database, rows {name} a stranger", 0, _count(stranger, statement), _REMEDY)


def try_legacy_order(conversation: UUID, sender: UUID) -> Iterator[Check]:
    """Send into a legacy conversation, and check that a trigger brings it to the top of the inbox."""
    member = User.objects.get(pk=sender)
    with discarding_changes():
        try:
            sent = send_legacy_message(actor=member, conversation_id=conversation, content=WORDS)
            with acting_as(member):
                moved_to = LegacyConversation.objects.get(pk=conversation).last_message_at
            sent_at = sent.message.created_at
            outcome = TO_THE_TOP if moved_to and sent_at and moved_to >= sent_at else "stays where it was"
        except (DomainError, DatabaseError) as problem:
            outcome = f"answers {type(problem.__cause__ or problem).__name__}"
    yield compare("Triggers", "a legacy conversation with a new message", TO_THE_TOP, outcome, _ORDER_REMEDY)


def _call(attempt: Callable[[], object], refusal: type[Exception]) -> str:
    """Make an attempt, take it back, and return how it ended. The database's refusal must be that of a policy."""
    with discarding_changes():
        try:
            with transaction.atomic():
                attempt()
        except (DomainError, DatabaseError) as problem:
            cause = problem.__cause__ or problem
            is_policy = not isinstance(cause, InsufficientPrivilege) or "row-level security" in str(cause)
            return REFUSED if isinstance(cause, refusal) and is_policy else f"answers {type(cause).__name__}"
    return "lets it happen"


def _count(stranger: User, statement: str) -> int | str:
    """Return how many rows a statement shows or changes, or why it fails."""
    with discarding_changes():
        try:
            with transaction.atomic():
                return _execute(stranger, statement)
        except DatabaseError as problem:
            return type(problem.__cause__ or problem).__name__


def _execute(stranger: User, statement: str, values: Sequence[Any] = ()) -> int:
    with acting_as(stranger), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.fetchone()[0] if cursor.description else cursor.rowcount)
