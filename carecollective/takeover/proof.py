"""Proves that the site works and no legacy row was lost: reads everything as the web role, and rehearses its use."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet

from carecollective.accounts.models import MessagingPreferences, User
from carecollective.core.database import connected_as, fetch_all
from carecollective.core.pagination import Cursor
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.records import MessageRecord
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.messaging.errors import ConversationNotFound
from carecollective.operations.verification.structure import check_structure
from carecollective.serving.startup_checks import find_dangers
from carecollective.settings import role_url
from carecollective.takeover.rehearsal import find_busiest_member, rehearse


@dataclass(frozen=True, slots=True)
class Proof:
    """What was read, and every difference. A difference names rows by id and never quotes them."""

    members: int
    requests: int
    conversations: int
    readings: int
    messages: int
    steps: int
    without_a_message: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """A legacy conversation as the owner of the tables sees it."""

    id: UUID
    readers: tuple[UUID, ...]
    left: tuple[UUID, ...]
    texts: dict[UUID, str]
    withheld: frozenset[UUID]

    def restricted_to(self, members: Container[UUID]) -> "Expected":
        """Return the same, with only those participants who are members."""
        readers, left = (tuple(key for key in keys if key in members) for keys in (self.readers, self.left))
        return replace(self, readers=readers, left=left)


# `find_dangers` reports these groups itself.
DANGER_GROUPS = ("4 Row-level security", "5 Policies")
# Tables that the web role must see whole: the same rows and values as the owner sees.
READ_WHOLE: Mapping[str, Callable[[], QuerySet[Any, Any]]] = {
    "profiles": lambda: User.objects.values_list("pk", "email", "name", "verification_status", "is_active"),
    "help_requests": lambda: HelpRequest.objects.values_list("pk", "user_id", "title", "status"),
    "messaging_preferences": lambda: MessagingPreferences.objects.values_list(
        "pk", "email_notifications", "quiet_hours_start", "quiet_hours_end"
    ),
}
_CONVERSATIONS = """
SELECT c.id,
  ARRAY(SELECT user_id FROM conversation_participants p WHERE p.conversation_id = c.id AND left_at IS NULL),
  ARRAY(SELECT user_id FROM conversation_participants p WHERE p.conversation_id = c.id AND left_at IS NOT NULL)
FROM conversations c ORDER BY c.id
"""
_MESSAGES = """
SELECT conversation_id, id, coalesce(content, ''),
  deleted_at IS NOT NULL OR coalesce(moderation_status::text, '') IN ('hidden', 'removed')
FROM messages
"""


def prove_site() -> Proof:
    """Compare what the site shows with the tables, and rehearse what members and staff do.

    It reads every legacy conversation as each of its participants. Called as the owner of the tables. Nothing is kept.
    """
    expected = _expected()
    members = {user.pk: user for user in User.objects.all()}
    owners = {table: set(rows()) for table, rows in READ_WHOLE.items()}
    busiest = find_busiest_member()
    differences: list[str] = []
    readings = messages = 0
    with connected_as(role_url("web")):
        differences += [f"The site would not start. {danger.sentence}" for danger in find_dangers()]
        differences += _find_what_stops_start()
        hidden = [*_compare_whole(owners)]
        differences += hidden
        if hidden:
            # Further checks would only repeat this for each member and conversation.
            return Proof(len(members), len(owners["help_requests"]), len(expected), 0, 0, 0, 0, tuple(differences))
        rehearsal = rehearse(busiest=busiest)
        differences += rehearsal.failures
        # Without foreign keys, a participant may not exist as a member.
        expected = [one.restricted_to(members) for one in expected]
        listed = {reader: _listed(members[reader]) for one in expected for reader in (*one.readers, *one.left)}
        for one in expected:
            for reader in one.readers:
                readings += 1
                found = _read(members[reader], one.id)
                messages += len(found)
                differences += _compare(one, reader, found)
                if one.id not in listed[reader]:
                    differences.append(f"conversation {one.id} is missing from the inbox of {reader}")
            for gone in one.left:
                if one.id in listed[gone] or _can_read(members[gone], one.id):
                    differences.append(f"conversation {one.id} is still shown to {gone}, who left it")
    return Proof(
        members=len(members),
        requests=len(owners["help_requests"]),
        conversations=len(expected),
        readings=readings,
        messages=messages,
        steps=rehearsal.steps,
        without_a_message=sum(not one.texts for one in expected),
        differences=tuple(differences),
    )


def _find_what_stops_start() -> Iterator[str]:
    """Yield the other differences that stop the start; `find_dangers` covers policies and row-level security."""
    with transaction.atomic(), connection.cursor() as cursor:
        checks = check_structure(cursor)
    for check in checks:
        if not check.ok and check.stops_start and check.group not in DANGER_GROUPS:
            yield (
                f"The site would not start. {check.what}: {check.expected} expected, {check.found} found. {check.remedy}"
            )


def _compare_whole(owners: Mapping[str, set[Any]]) -> Iterator[str]:
    for table, rows in READ_WHOLE.items():
        try:
            with transaction.atomic():
                found = set(rows())
        except DatabaseError as error:
            yield f"The site cannot read {table}: {str(error).splitlines()[0]}."
            continue
        if lost := len(owners[table] - found):
            yield f"The site sees {len(found)} rows of {table} of {len(owners[table])}; {lost} are missing or differ."


def _expected() -> list[Expected]:
    texts: dict[UUID, dict[UUID, str]] = {}
    withheld: set[UUID] = set()
    for conversation, key, content, is_withheld in fetch_all(_MESSAGES):
        texts.setdefault(conversation, {})[key] = content
        if is_withheld:
            withheld.add(key)
    return [
        Expected(key, tuple(readers), tuple(left), texts.get(key, {}), frozenset(withheld))
        for key, readers, left in fetch_all(_CONVERSATIONS)
    ]


def _listed(reader: User) -> set[UUID]:
    found: set[UUID] = set()
    cursor: Cursor | None = None
    while True:
        page = list_conversations(reader=reader, cursor=cursor, size=100)
        found |= {row.id for row in page.rows}
        cursor = page.next
        if cursor is None:
            return found


def _read(reader: User, conversation_id: UUID) -> dict[UUID, MessageRecord]:
    found: dict[UUID, MessageRecord] = {}
    before: UUID | None = None
    while True:
        try:
            thread = open_thread(reader=reader, conversation_id=conversation_id, before=before, mark_read=False)
        except ConversationNotFound:
            return found
        found |= {message.id: message for message in thread.messages if message.id}
        if not thread.has_older:
            return found
        before = thread.messages[0].id


def _can_read(reader: User, conversation_id: UUID) -> bool:
    try:
        open_thread(reader=reader, conversation_id=conversation_id, mark_read=False)
    except ConversationNotFound:
        return False
    return True


def _compare(one: Expected, reader: UUID, found: dict[UUID, MessageRecord]) -> Iterator[str]:
    for key in one.texts.keys() ^ found.keys():
        yield f"message {key} of conversation {one.id} is {'missing for' if key in one.texts else 'new to'} {reader}"
    for key in one.texts.keys() & found.keys():
        if found[key].is_withheld != (key in one.withheld):
            yield f"message {key} of conversation {one.id} is wrongly shown or withheld"
        elif not found[key].is_withheld and found[key].content != one.texts[key]:
            yield f"message {key} of conversation {one.id} reads differently"
