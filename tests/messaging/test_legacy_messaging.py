"""V1's writer and readers: whole conversations, and no existing row touched."""

import json
from collections import Counter
from uuid import uuid4

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.core.database import acting_as
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.help_requests.models import RequestStatus
from carecollective.messaging.errors import (
    ConversationExists,
    ConversationInactive,
    ConversationNotFound,
    IdempotencyConflict,
    MessageNotFound,
)
from messaging_v1 import selectors
from messaging_v1.models import Conversation, Message, Participant
from messaging_v1.services import send_legacy_message, start_legacy_conversation
from tests.messaging.refusals import nothing_written, refused

OFFER = "Hello, I can bring them on Monday."


def start(actor, request, text=OFFER):
    return start_legacy_conversation(actor=actor, help_request_id=request.pk, initial_message=text)


def send(actor, key, content="See you then.", message_id=None):
    return send_legacy_message(actor=actor, conversation_id=key, content=content, message_id=message_id)


def read(reader, key, before=None):
    with acting_as(reader):
        return selectors.read_conversation(conversation_id=key, before=before)


def test_conversation_participants_and_message_are_written_together(helper, owner, groceries, rows_of):
    made = start(helper, groceries, " Hello, I can\r\nbring them. ")
    assert rows_of("SELECT id, help_request_id, created_by, status FROM conversations") == [
        (made.pk, groceries.pk, helper.pk, "active")
    ]
    participants = rows_of(
        "SELECT user_id, role, left_at FROM conversation_participants WHERE conversation_id = %s", made.pk
    )
    assert sorted(participants) == sorted([(helper.pk, "member", None), (owner.pk, "member", None)])
    assert rows_of("SELECT sender_id, recipient_id, help_request_id, content, message_type, status FROM messages") == [
        (helper.pk, owner.pk, groceries.pk, "Hello, I can\nbring them.", "text", "sent")
    ]


def test_the_legacy_trigger_keeps_the_time_of_the_last_message(helper, owner, groceries, rows_of):
    made = start(helper, groceries)
    sent = send(owner, made.pk).message
    assert rows_of("SELECT last_message_at, updated_at FROM conversations") == [(sent.created_at, sent.created_at)]


@pytest.mark.parametrize("verification", ["pending", "rejected"])
def test_a_member_who_is_not_approved_starts_and_sends_nothing(helper, groceries, verification):
    made = start(helper, groceries)
    helper.verification_status = verification
    helper.save(update_fields=["verification_status"])
    with refused(NotApproved, "permission_denied", 403):
        start(helper, groceries)
    with refused(NotApproved, "permission_denied", 403):
        send(helper, made.pk)


@pytest.mark.parametrize("text", ["too short", "a" * 1001, "\u2800" * 12, None, "ten chars\0x"])
def test_a_first_message_that_cannot_be_taken_leaves_no_orphan(helper, groceries, text):
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        start(helper, groceries, text)
    assert list(refusal.value.fields) == ["initial_message"]


@pytest.mark.parametrize("content", ["", "\u200b", "a" * 1001, 7])
def test_a_message_that_cannot_be_taken_is_refused_by_name(helper, groceries, content):
    made = start(helper, groceries)
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        send(helper, made.pk, content)
    assert list(refusal.value.fields) == ["content"]


def test_a_request_that_does_not_exist_is_not_found(helper):
    with refused(HelpRequestNotFound, "help_request_not_found", 404):
        start_legacy_conversation(actor=helper, help_request_id=uuid4(), initial_message=OFFER)


def test_nobody_helps_with_their_own_request(owner, groceries):
    with refused(OwnRequest, "invalid_input", 400):
        start(owner, groceries)


@pytest.mark.parametrize("status", [RequestStatus.COMPLETED, RequestStatus.CANCELLED, RequestStatus.CLOSED])
def test_a_request_that_is_over_takes_no_offer(helper, help_request, status):
    request = help_request(status=status)
    with refused(HelpRequestUnavailable, "help_request_unavailable", 400):
        start(helper, request)


def test_a_second_offer_is_answered_with_the_first(helper, groceries):
    made = start(helper, groceries)
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        start(helper, groceries)
    assert (refusal.value.conversation_id, refusal.value.version) == (made.pk, "v1")


def test_of_a_duplicate_pair_the_livelier_one_stands(helper, owner, groceries, legacy_conversation):
    old = legacy_conversation(helper, owner, groceries, ["One message."])
    new = legacy_conversation(helper, owner, groceries, ["One message.", "And an answer."])
    assert old != new
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        start(helper, groceries)
    assert refusal.value.conversation_id == new


def test_what_the_legacy_failure_left_stands_in_nobodys_way(helper, owner, groceries, legacy_conversation, rows_of):
    orphan = legacy_conversation(helper, owner, groceries, [])
    before = rows_of("SELECT c::text FROM conversations c WHERE id = %s", orphan)
    made = start(helper, groceries)
    assert made.pk != orphan
    assert rows_of("SELECT c::text FROM conversations c WHERE id = %s", orphan) == before


def test_a_conversation_that_the_helper_left_stands_in_nobodys_way(helper, owner, groceries, legacy_conversation):
    left = legacy_conversation(helper, owner, groceries, left=[helper])
    assert start(helper, groceries).pk != left


def test_another_helpers_conversation_blocks_nobody(helper, outsider, owner, groceries, legacy_conversation):
    legacy_conversation(outsider, owner, groceries)
    start(helper, groceries)


def test_both_sides_send_to_the_other(helper, owner, groceries):
    made = start(helper, groceries)
    assert send(owner, made.pk).message.recipient_id == helper.pk
    assert send(helper, made.pk).message.recipient_id == owner.pk
    assert [message.content for message in read(owner, made.pk).messages] == [OFFER, "See you then.", "See you then."]


def test_an_unknown_conversation_and_anothers_get_the_same_answer(
    outsider, staff, helper, owner, groceries, legacy_conversation
):
    key = legacy_conversation(helper, owner, groceries)
    answers = []
    for reader, found in ((outsider, uuid4()), (outsider, key), (staff(), key)):
        for call in (read, send):
            with refused(ConversationNotFound, "conversation_not_found", 404) as refusal:
                call(reader, found)
            answers.append(errors.envelope(refusal.value))
    assert all(answer == answers[0] for answer in answers)


def test_who_left_neither_reads_nor_writes_any_more(helper, owner, groceries, legacy_conversation):
    key = legacy_conversation(helper, owner, groceries, left=[owner])
    for call in (read, send):
        with refused(ConversationNotFound, "conversation_not_found", 404):
            call(owner, key)


def test_nobody_writes_to_someone_who_left(helper, owner, groceries, legacy_conversation):
    key = legacy_conversation(helper, owner, groceries, left=[owner])
    with refused(ConversationInactive, "conversation_inactive", 409):
        send(helper, key)


@pytest.mark.parametrize("status", ["closed", "blocked"])
def test_a_closed_or_blocked_conversation_takes_nothing(helper, owner, groceries, legacy_conversation, status):
    key = legacy_conversation(helper, owner, groceries, status=status)
    for sender in (helper, owner):
        with refused(ConversationInactive, "conversation_inactive", 409):
            send(sender, key)


def test_the_same_message_again_is_the_same_message(helper, owner, groceries, legacy_conversation):
    key, message_id = legacy_conversation(helper, owner, groceries), uuid4()
    first = send(owner, key, "Thank you!", message_id)
    with nothing_written():
        again = send(owner, key, " Thank you!\r\n", message_id)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.message == again.message
    assert model_to_dict(first.message) == model_to_dict(again.message)
    assert again.message.recipient_id == helper.pk


@pytest.mark.parametrize("other", ["content", "sender", "conversation", "stranger"])
def test_an_id_that_names_another_message_is_a_conflict(
    helper, owner, outsider, groceries, help_request, legacy_conversation, other
):
    key, message_id = legacy_conversation(helper, owner, groceries), uuid4()
    elsewhere = help_request(user=owner)
    sender, place, content = {
        "content": (owner, key, "Thank you, really!"),
        "sender": (helper, key, "Thank you!"),
        "conversation": (owner, legacy_conversation(helper, owner, elsewhere), "Thank you!"),
        "stranger": (outsider, legacy_conversation(outsider, owner, elsewhere), "Thank you!"),
    }[other]
    send(owner, key, "Thank you!", message_id)
    with refused(IdempotencyConflict, "idempotency_conflict", 409):
        send(sender, place, content, message_id)


LEGACY_ROWS = """
SELECT 'conversations', to_jsonb(t) - %s::text[] FROM conversations t
UNION ALL SELECT 'conversation_participants', to_jsonb(t) FROM conversation_participants t
UNION ALL SELECT 'messages', to_jsonb(t) FROM messages t
"""


@pytest.fixture
def legacy_rows(rows_of):
    """Read every row of the three legacy tables whole; of conversations, without the columns that are named."""
    return lambda *left_out: sorted((table, json.dumps(row)) for table, row in rows_of(LEGACY_ROWS, list(left_out)))


def added(before, after):
    """Return of which tables the new rows are, after seeing that every old one is there as it was."""
    grown = Counter(after)
    grown.subtract(before)
    assert min(grown.values()) == 0, "an existing row was changed or is gone"
    return sorted(table for (table, _row), count in grown.items() if count)


def test_nothing_legacy_is_changed_by_writing_beside_it(
    helper, owner, groceries, legacy_conversation, help_request, legacy_rows
):
    legacy_conversation(helper, owner, groceries, ["Hello", {"content": "Psst", "deleted_at": "2025-09-21"}])
    before = legacy_rows()
    made = start(helper, help_request(user=owner))
    started = legacy_rows()
    assert added(before, started) == ["conversation_participants"] * 2 + ["conversations", "messages"]
    send(owner, made.pk)
    # The legacy trigger writes two times into the conversation that was just made, and into no other row.
    assert added(before, legacy_rows()) == ["conversation_participants"] * 2 + ["conversations"] + ["messages"] * 2


def test_continuing_changes_only_the_last_message_time(helper, owner, groceries, legacy_conversation, legacy_rows):
    key = legacy_conversation(helper, owner, groceries, ["Hello", {"content": "Psst", "deleted_at": "2025-09-21"}])
    before = legacy_rows("last_message_at", "updated_at")
    send(owner, key)
    assert added(before, legacy_rows("last_message_at", "updated_at")) == ["messages"]


@pytest.mark.parametrize(
    ("columns", "shown", "is_withheld"),
    [
        ({"deleted_at": "2025-09-21"}, "This message was deleted.", True),
        ({"moderation_status": "hidden"}, "This message was removed by a moderator.", True),
        ({"moderation_status": "removed"}, "This message was removed by a moderator.", True),
        ({"moderation_status": "removed", "deleted_at": "2025-09-21"}, "This message was deleted.", True),
        ({"moderation_status": "pending"}, "What was said", False),
        ({"moderation_status": "approved", "is_flagged": True}, "What was said", False),
    ],
)
def test_what_was_withheld_is_not_shown_to_anybody(
    helper, owner, groceries, legacy_conversation, columns, shown, is_withheld
):
    key = legacy_conversation(helper, owner, groceries, [{"content": "What was said", **columns}, "An answer"])
    for reader in (helper, owner):
        thread = read(reader, key)
        assert [(message.shown, message.is_withheld) for message in thread.messages] == [
            (shown, is_withheld),
            ("An answer", False),
        ]
        assert thread.first_message.shown == shown
    with acting_as(owner):
        assert selectors.messages_after(conversation_id=key, after=None, limit=5)[0].shown == shown


def test_a_message_of_the_systems_is_told_apart(helper, owner, groceries, legacy_conversation):
    key = legacy_conversation(helper, owner, groceries, ["Hello", {"content": "Completed.", "message_type": "system"}])
    assert [message.is_system for message in read(owner, key).messages] == [False, True]


def test_a_conversation_without_a_message_can_be_read(helper, owner, groceries, legacy_conversation):
    thread = read(owner, legacy_conversation(helper, owner, groceries, []))
    assert (list(thread.messages), thread.first_message, thread.has_older) == ([], None, False)
    assert {person.name for person in thread.people} == {"Olga", "Henry"}


def test_the_latest_fifty_come_first_and_the_older_ones_after(helper, owner, groceries, legacy_conversation):
    key = legacy_conversation(helper, owner, groceries, [f"Number {number}" for number in range(51)])
    latest = read(owner, key)
    assert (latest.has_older, latest.messages[0].shown, latest.first_message.shown) == (True, "Number 1", "Number 0")
    older = read(owner, key, before=latest.messages[0].id)
    assert ([message.shown for message in older.messages], older.has_older) == (["Number 0"], False)
    with acting_as(owner):
        new = selectors.messages_after(conversation_id=key, after=latest.messages[-2].id, limit=5)
    assert [message.shown for message in new] == ["Number 50"]


def test_an_unknown_message_is_no_place_to_read_from(
    helper, owner, outsider, groceries, help_request, legacy_conversation
):
    key = legacy_conversation(helper, owner, groceries)
    elsewhere = read(owner, legacy_conversation(outsider, owner, help_request(user=owner))).messages[0].id
    for unknown in (uuid4(), elsewhere):
        with refused(MessageNotFound, "message_not_found", 404):
            read(owner, key, before=unknown)
        with refused(MessageNotFound, "message_not_found", 404), acting_as(owner):
            selectors.messages_after(conversation_id=key, after=unknown, limit=5)


def test_a_thread_is_one_query_however_long(helper, owner, groceries, legacy_conversation):
    key = legacy_conversation(helper, owner, groceries, ["Again"] * 60)
    with acting_as(owner), CaptureQueriesContext(connection) as queries:
        selectors.read_conversation(conversation_id=key, before=None)
    assert len(queries) == 1


def test_the_owner_sees_who_offered(helper, outsider, owner, groceries, legacy_conversation):
    first = legacy_conversation(helper, owner, groceries)
    second = legacy_conversation(outsider, owner, groceries, ["Hello", "Thanks"])
    for reader, expected in ((owner, [second, first]), (helper, [first]), (outsider, [second])):
        with acting_as(reader):
            assert [found.pk for found in selectors.conversations_about(help_request_id=groceries.pk)] == expected


def test_rows_are_named_in_the_log_without_what_was_said(helper, groceries):
    made = start(helper, groceries)
    with acting_as(helper):
        message, participant = Message.objects.get(), Participant.objects.filter(user=helper).get()
    assert str(made) == f"Legacy conversation {made.pk}"
    assert str(message) == f"Legacy message {message.pk}"
    assert str(participant) == f"{helper.pk} in {made.pk}"
    assert not Conversation._meta.managed
