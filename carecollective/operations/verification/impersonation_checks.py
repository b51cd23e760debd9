"""Tries the three operations as the web role, in another member's name. Everything is rolled back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    attempts: dict[str, Callable[[], object]] = {
        "create_conversation_atomic": lambda: services.create_conversation_atomic(
            actor=stranger, help_request_id=case.help_request, helper_id=case.helper, initial_message=WORDS
        ),
        "send_message_v2": lambda: services.send_message_v2(
            actor=stranger, conversation_id=case.conversation, sender_id=case.helper, content=WORDS
        ),
        "get_conversation_v2": lambda: services.get_conversation_v2(
            actor=stranger, conversation_id=case.conversation, reader_id=case.helper
        ),
    }
    for name, attempt in attempts.items():
        yield _check(f"{name} for another", REFUSED, _call_service(attempt, ActingAsAnother))
    yield _check(
        "get_conversation_v2 by a stranger",
        REFUSED,
        _call_service(
            lambda: services.get_conversation_v2(
                actor=stranger, conversation_id=case.conversation, reader_id=stranger.pk
            ),
            ConversationNotFound,
        ),
    )
    yield _check(
        "the database, to open for another",
        REFUSED,
        _call_database(stranger, _OPEN, [uuid4(), case.help_request, case.requester, case.helper, WORDS]),
    )
    yield _check(
        "the database, to send for another",
        REFUSED,
        _call_database(stranger, _SEND, [uuid4(), case.conversation, case.helper, WORDS]),
    )
    yield _check("the database, rows shown to a stranger", 0, _count(stranger, _READ, fetch=True))
    yield _check("the database, rows closed by a stranger", 0, _count(stranger, _CLOSE, fetch=False))


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


def _check(name: str, expected: object, found: object) -> Check:
    return compare(GROUP, name, expected, found, _REMEDY)


def _call_service(attempt: Callable[[], object], refusal: type[DomainError]) -> str:
    outcome = "lets it happen"
    with discarding_changes():
        try:
            attempt()
        except refusal:
            outcome = REFUSED
        except (DomainError, DatabaseError) as other:
            outcome = f"answers {type(other).__name__}"
    return outcome


def _call_database(stranger: User, statement: str, values: list[UUID | str]) -> str:
    outcome = "lets it happen"
    with discarding_changes(), acting_as(stranger):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement, values)
        except DatabaseError as problem:
            policy = isinstance(problem.__cause__, InsufficientPrivilege) and "row-level security" in str(problem)
            outcome = REFUSED if policy else f"answers {type(problem.__cause__ or problem).__name__}"
    return outcome


def _count(stranger: User, statement: str, *, fetch: bool) -> int | str:
    found: int | str = 0
    with discarding_changes(), acting_as(stranger):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
                found = cursor.fetchone()[0] if fetch else cursor.rowcount
        except DatabaseError as problem:
            found = type(problem.__cause__ or problem).__name__
    return found
