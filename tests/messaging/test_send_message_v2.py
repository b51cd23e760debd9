"""The second operation: a message, once."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.help_requests.models import RequestStatus
from carecollective.messaging.errors import (
    ClosedByAnother,
    ConversationInactive,
    ConversationNotFound,
    IdempotencyConflict,
)
from messaging_v2.models import Conversation, ConversationStatus, Message
from messaging_v2.services import create_conversation_atomic, send_message_v2, set_status
from tests.messaging.refusals import nothing_written, refused


def send(actor, conversation, content="See you then.", **given):
    return send_message_v2(
        actor=actor,
        **({"conversation_id": conversation.pk, "sender_id": actor.pk, "content": content} | given),
    )


def test_both_sides_send(helper, owner, conversation, rows_of):
    first, second = send(owner, conversation, " Thank you!\r\n "), send(helper, conversation)
    assert (first.is_new, second.is_new) == (True, True)
    assert rows_of("SELECT sender_id, content FROM messages_v2 ORDER BY created_at") == [
        (owner.pk, "Thank you!"),
        (helper.pk, "See you then."),
    ]


def test_a_message_moves_the_conversation_up(owner, conversation, rows_of):
    sent = send(owner, conversation).message
    ((created, updated),) = rows_of("SELECT created_at, updated_at FROM conversations_v2")
    assert created < updated == sent.created_at
    assert str(sent) == f"Message {sent.pk}"


def test_messages_may_be_sent_after_the_request_is_over(owner, groceries, conversation):
    type(groceries).objects.filter(pk=groceries.pk).update(status=RequestStatus.COMPLETED)
    assert send(owner, conversation).is_new


def test_nobody_sends_in_anothers_name(helper, owner, conversation):
    with refused(errors.ActingAsAnother, "permission_denied", 403):
        send(helper, conversation, sender_id=owner.pk)


@pytest.mark.parametrize("verification", ["pending", "rejected"])
def test_a_member_whose_approval_was_taken_back_sends_nothing(owner, conversation, verification):
    owner.verification_status = verification
    owner.save(update_fields=["verification_status"])
    with refused(NotApproved, "permission_denied", 403):
        send(owner, conversation)


@pytest.mark.parametrize("content", ["", " \r\n ", "\u2060\u2060", "a" * 1001, None, ["text"], "a\0b", "\u2066open"])
def test_a_message_that_cannot_be_taken_is_refused_by_name(owner, conversation, content):
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        send(owner, conversation, content)
    assert list(refusal.value.fields) == ["content"]


@pytest.mark.parametrize("content", ["a", "a" * 1000, "😊" * 1000, "a\r\n" * 333 + "a"])
def test_one_to_a_thousand_characters_are_taken(owner, conversation, content):
    assert send(owner, conversation, content).message.content == content.replace("\r\n", "\n")


def test_an_unknown_conversation_and_anothers_get_the_same_answer(outsider, conversation):
    answers = []
    for key in (uuid4(), conversation.pk):
        with refused(ConversationNotFound, "conversation_not_found", 404) as refusal:
            send(outsider, conversation, conversation_id=key)
        answers.append(errors.envelope(refusal.value))
    assert answers[0] == answers[1]


def test_not_even_staff_write_into_anothers_conversation(staff, conversation):
    boss = staff()
    with refused(ConversationNotFound, "conversation_not_found", 404):
        send(boss, conversation)


def test_a_closed_conversation_takes_none_until_its_closer_reopens(owner, helper, conversation):
    set_status(actor=owner, conversation_id=conversation.pk, status=ConversationStatus.CLOSED)
    with refused(ConversationInactive, "conversation_inactive", 409):
        send(helper, conversation)
    with refused(ClosedByAnother, "permission_denied", 403):
        set_status(actor=helper, conversation_id=conversation.pk, status=ConversationStatus.ACTIVE)
    set_status(actor=owner, conversation_id=conversation.pk, status=ConversationStatus.ACTIVE)
    assert send(helper, conversation).is_new


def test_closing_what_is_closed_changes_nothing(owner, conversation):
    set_status(actor=owner, conversation_id=conversation.pk, status=ConversationStatus.CLOSED)
    with nothing_written():
        set_status(actor=owner, conversation_id=conversation.pk, status=ConversationStatus.CLOSED)


def test_an_outsider_closes_nothing(outsider, conversation):
    with refused(ConversationNotFound, "conversation_not_found", 404):
        set_status(actor=outsider, conversation_id=conversation.pk, status=ConversationStatus.CLOSED)


def test_the_same_message_again_is_the_same_message(owner, conversation):
    key = uuid4()
    first = send(owner, conversation, "Thank you!", message_id=key)
    with nothing_written():
        again = send(owner, conversation, "  Thank you!\r\n", message_id=key)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.message.pk == again.message.pk == key
    assert first.message.created_at == again.message.created_at


def test_a_repeat_is_answered_even_after_the_conversation_was_closed(owner, helper, conversation):
    key = uuid4()
    send(owner, conversation, "Thank you!", message_id=key)
    set_status(actor=helper, conversation_id=conversation.pk, status=ConversationStatus.CLOSED)
    with nothing_written():
        assert not send(owner, conversation, "Thank you!", message_id=key).is_new


def test_the_same_id_with_other_content_is_a_conflict(owner, conversation):
    key = uuid4()
    send(owner, conversation, "Thank you!", message_id=key)
    with refused(IdempotencyConflict, "idempotency_conflict", 409):
        send(owner, conversation, "Thank you, really!", message_id=key)


def test_the_same_id_by_the_other_side_is_a_conflict(owner, helper, conversation):
    key = uuid4()
    send(owner, conversation, "Thank you!", message_id=key)
    with refused(IdempotencyConflict, "idempotency_conflict", 409):
        send(helper, conversation, "Thank you!", message_id=key)


def test_the_same_id_in_another_conversation_is_a_conflict(owner, helper, conversation, help_request):
    key = uuid4()
    another = create_conversation_atomic(
        actor=helper,
        help_request_id=help_request(user=owner).pk,
        helper_id=helper.pk,
        initial_message="And this one too.",
    )
    send(owner, conversation, "Thank you!", message_id=key)
    with refused(IdempotencyConflict, "idempotency_conflict", 409):
        send(owner, another, "Thank you!", message_id=key)


def test_a_strangers_message_id_conflicts_and_reveals_nothing(owner, conversation, member, help_request):
    key, stranger = uuid4(), member()
    theirs = create_conversation_atomic(
        actor=stranger,
        help_request_id=help_request().pk,
        helper_id=stranger.pk,
        initial_message="Between the two of us.",
    )
    send(stranger, theirs, "Thank you!", message_id=key)
    with refused(IdempotencyConflict, "idempotency_conflict", 409) as refusal:
        send(owner, conversation, "Thank you!", message_id=key)
    assert refusal.value.extra == {}


@pytest.mark.parametrize("content", ["   ", "a" * 1001])
def test_the_database_promises_the_lengths_too(owner, conversation, beyond_policies, content):
    refusal = pytest.raises(IntegrityError, match="messages_v2_content_length")
    with beyond_policies() as cursor, refusal, transaction.atomic():
        cursor.execute(
            "INSERT INTO messages_v2 (id, conversation_id, sender_id, content) VALUES (gen_random_uuid(), %s, %s, %s)",
            [conversation.pk, owner.pk, content],
        )


def test_nothing_but_the_status_of_a_conversation_ever_changes(conversation, owner, rows_of):
    before = rows_of(
        "SELECT id, help_request_id, requester_id, helper_id, initial_message, created_at FROM conversations_v2"
    )
    send(owner, conversation)
    set_status(actor=owner, conversation_id=conversation.pk, status=ConversationStatus.CLOSED)
    after = rows_of(
        "SELECT id, help_request_id, requester_id, helper_id, initial_message, created_at FROM conversations_v2"
    )
    assert before == after
    assert not Conversation.objects.exists()
    assert not Message.objects.exists(), "without an acting member the policies show nothing"
