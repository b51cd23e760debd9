"""The third operation: reading, in one's own name."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from carecollective.core import errors
from carecollective.core.database import acting_as
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from messaging_v2.selectors import THREAD_PAGE, conversations_about, messages_after
from messaging_v2.services import create_conversation_atomic, get_conversation_v2, send_message_v2
from tests.messaging.refusals import refused


def read(reader, conversation, **given):
    return get_conversation_v2(actor=reader, **({"conversation_id": conversation.pk, "reader_id": reader.pk} | given))


def fill(conversation, sender, count):
    return [
        send_message_v2(
            actor=sender, conversation_id=conversation.pk, sender_id=sender.pk, content=f"Number {number}"
        ).message
        for number in range(count)
    ]


def test_both_sides_read_the_same(helper, owner, conversation):
    fill(conversation, owner, 2)
    for reader in (helper, owner):
        thread = read(reader, conversation)
        assert thread.conversation.initial_message == "Hello, I can bring them on Monday."
        assert [message.content for message in thread.messages] == ["Number 0", "Number 1"]
        assert not thread.has_older


def test_nobody_reads_in_anothers_name(helper, outsider, conversation):
    with refused(errors.ActingAsAnother, "permission_denied", 403):
        read(outsider, conversation, reader_id=helper.pk)


def test_an_unknown_conversation_and_anothers_get_the_same_answer(outsider, staff, conversation):
    answers = []
    for reader, key in ((outsider, uuid4()), (outsider, conversation.pk), (staff(), conversation.pk)):
        with refused(ConversationNotFound, "conversation_not_found", 404) as refusal:
            read(reader, conversation, conversation_id=key)
        answers.append(errors.envelope(refusal.value))
    assert answers[0] == answers[1] == answers[2]


def test_a_member_whose_approval_was_taken_back_still_reads(owner, conversation):
    owner.verification_status = "rejected"
    owner.save(update_fields=["verification_status"])
    assert read(owner, conversation).conversation == conversation


@pytest.mark.parametrize(("count", "has_older"), [(THREAD_PAGE, False), (THREAD_PAGE + 1, True)])
def test_the_latest_fifty_come_first_and_the_older_ones_after(owner, conversation, count, has_older):
    sent = fill(conversation, owner, count)
    latest = read(owner, conversation)
    assert latest.has_older is has_older
    assert [message.id for message in latest.messages] == [message.pk for message in sent[-THREAD_PAGE:]]
    older = read(owner, conversation, before=latest.messages[0].id)
    assert [message.id for message in older.messages] == [message.pk for message in sent[:-THREAD_PAGE]]
    assert not older.has_older


def test_what_lies_before_a_strangers_message_is_not_told(owner, conversation, member, help_request):
    stranger = member()
    theirs = create_conversation_atomic(
        actor=stranger,
        help_request_id=help_request().pk,
        helper_id=stranger.pk,
        initial_message="Between the two of us.",
    )
    key = fill(theirs, stranger, 1)[0].pk
    for before in (uuid4(), key):
        with refused(MessageNotFound, "message_not_found", 404):
            read(owner, conversation, before=before)


def test_messages_of_one_moment_keep_one_order(owner, conversation, beyond_policies):
    fill(conversation, owner, 6)
    with beyond_policies() as cursor:
        cursor.execute("UPDATE messages_v2 SET created_at = '2026-01-01', updated_at = '2026-01-01'")
    everything = [message.id for message in read(owner, conversation).messages]
    assert everything == sorted(everything)
    assert [message.id for message in read(owner, conversation, before=everything[3]).messages] == everything[:3]
    with acting_as(owner):
        new = messages_after(reader=owner, conversation_id=conversation.pk, after=everything[2], limit=10)
    assert [message.pk for message in new] == everything[3:]


def test_a_thread_is_one_query_however_long(owner, conversation):
    fill(conversation, owner, 60)
    with acting_as(owner), CaptureQueriesContext(connection) as queries:
        read(owner, conversation)
    assert len(queries) == 1


def test_content_comes_back_as_it_was_typed(owner, conversation):
    text = 'O\'Brien said <b>"50 % off"</b> & {{ 1+1 }} \\ %s\nÀ bientôt 😊 {"json": null}'
    send_message_v2(actor=owner, conversation_id=conversation.pk, sender_id=owner.pk, content=text)
    assert read(owner, conversation).messages[0].content == text


def test_the_owner_sees_who_offered_and_each_helper_only_themselves(owner, helper, outsider, groceries, conversation):
    second = create_conversation_atomic(
        actor=outsider, help_request_id=groceries.pk, helper_id=outsider.pk, initial_message="I could do it as well."
    )
    for reader, expected in ((owner, [second, conversation]), (helper, [conversation]), (outsider, [second])):
        with acting_as(reader):
            assert conversations_about(help_request_id=groceries.pk) == expected
