"""The one inbox: both versions, newest activity first, and what is unread in each."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from carecollective.inbox.models import ReadPointer
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import mark_read, offer_help, send_message
from carecollective.messaging.errors import ConversationNotFound
from messaging_v2.services import send_message_v2
from rollout.targeting import snapshot
from tests.messaging.conftest import AUTUMN
from tests.messaging.refusals import nothing_written, refused

OFFER = "Hello, I can bring them on Monday."


def unread(reader):
    return [row.unread_count for row in list_conversations(reader=reader).rows]


def first_row(reader: Any) -> Any:
    return list_conversations(reader=reader).rows[0]


def read(reader, key):
    return open_thread(reader=reader, conversation_id=key, mark_read=True)


def answer(sender, conversation, content="See you then."):
    return send_message_v2(actor=sender, conversation_id=conversation.pk, sender_id=sender.pk, content=content)


def test_an_empty_inbox_is_an_empty_page(helper):
    page = list_conversations(reader=helper)
    assert (list(page.rows), page.next, page.previous) == ([], None, None)


def test_a_row_says_what_it_is_about_and_with_whom(helper, owner, groceries, conversation):
    row = first_row(helper)
    assert (row.id, row.version, row.status) == (conversation.pk, "v2", "active")
    assert (row.help_request.id, row.help_request.title, row.help_request.status) == (groceries.pk, "Groceries", "open")
    assert (row.other_participant.id, row.other_participant.name) == (owner.pk, "Olga")
    assert (row.last_message.id, row.last_message.sender_id, row.last_message.content) == (
        None,
        helper.pk,
        "Hello, I can bring them on Monday.",
    )
    sent = answer(owner, conversation).message
    row = first_row(owner)
    assert (row.last_message.id, row.last_message.content, row.updated_at) == (
        sent.pk,
        "See you then.",
        sent.created_at,
    )
    assert row.other_participant.name == "Henry"


def test_both_versions_stand_in_the_order_of_their_last_activity(
    helper, owner, groceries, help_request, legacy_conversation, conversation, stage
):
    stage("disabled")
    old = legacy_conversation(helper, owner, help_request(user=owner, title="Older"))
    orphan = legacy_conversation(helper, owner, help_request(user=owner), [], start=AUTUMN - timedelta(days=1))
    assert [row.id for row in list_conversations(reader=owner).rows] == [conversation.pk, old, orphan]
    send_message(actor=helper, conversation_id=old, content="Remember me?")
    rows: Any = list_conversations(reader=owner).rows
    assert [row.id for row in rows] == [old, conversation.pk, orphan]
    assert [row.version for row in rows] == ["v1", "v2", "v1"]
    assert rows[0].last_message.content == "Remember me?"
    assert rows[2].last_message is None
    assert rows[2].unread_count == 0


def test_a_conversation_whose_request_is_gone_is_listed(helper, owner, legacy_conversation):
    legacy_conversation(helper, owner, None)
    assert list_conversations(reader=owner).rows[0].help_request is None


def test_who_left_no_longer_sees_it_and_the_other_does(helper, owner, groceries, legacy_conversation):
    key = legacy_conversation(helper, owner, groceries, left=[owner])
    assert list(list_conversations(reader=owner).rows) == []
    assert [row.id for row in list_conversations(reader=helper).rows] == [key]


def test_nobody_sees_anothers_conversations(
    outsider, staff, helper, owner, help_request, legacy_conversation, conversation
):
    legacy_conversation(helper, owner, help_request(user=owner))
    assert list(list_conversations(reader=outsider).rows) == []
    assert list(list_conversations(reader=staff()).rows) == []


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({"deleted_at": "2025-09-21"}, "This message was deleted."),
        ({"moderation_status": "hidden"}, "This message was removed by a moderator."),
    ],
)
def test_a_withheld_message_is_not_shown_in_the_list(helper, owner, groceries, legacy_conversation, columns, shown):
    legacy_conversation(helper, owner, groceries, [{"content": "What was said", **columns}])
    row = first_row(owner)
    assert (row.last_message.content, row.unread_count) == (shown, 0)


def test_the_first_message_is_unread_for_the_requester_alone(helper, owner, conversation):
    assert (unread(owner), unread(helper)) == ([1], [0])


def test_ones_own_messages_are_never_unread(helper, owner, conversation):
    answer(helper, conversation)
    answer(owner, conversation)
    assert (unread(owner), unread(helper)) == ([2], [1])


def test_reading_moves_the_readers_pointer_alone(helper, owner, conversation):
    answer(helper, conversation)
    answer(owner, conversation)
    assert read(owner, conversation.pk).messages
    assert (unread(owner), unread(helper)) == ([0], [1])
    answer(helper, conversation)
    assert unread(owner) == [1]
    mark_read(actor=owner, conversation_id=conversation.pk)
    assert unread(owner) == [0]
    assert str(ReadPointer.objects.get(member=owner)) == f"{owner.pk} in {conversation.pk}"


def test_looking_without_marking_changes_nothing(owner, conversation):
    with nothing_written():
        open_thread(reader=owner, conversation_id=conversation.pk, mark_read=False)
        list_conversations(reader=owner)
    assert unread(owner) == [1]


def test_the_pointer_never_goes_back(owner, helper, conversation, beyond_policies):
    answer(helper, conversation)
    read(owner, conversation.pk)
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM messages_v2")
    with nothing_written():
        read(owner, conversation.pk)


def test_nobody_marks_anothers_conversation(outsider, conversation):
    for key in (conversation.pk, uuid4()):
        with refused(ConversationNotFound, "conversation_not_found", 404):
            mark_read(actor=outsider, conversation_id=key)


def test_the_legacy_systems_own_marks_count(helper, owner, groceries, legacy_conversation, rows_of):
    seen = {"content": "Read long ago.", "read_at": "2025-09-21", "sender": helper}
    key = legacy_conversation(
        helper,
        owner,
        groceries,
        [
            seen,
            {"content": "Not yet.", "sender": helper},
            {"content": "Nor this.", "sender": helper},
            "From the owner.",
        ],
    )
    marks = "SELECT id, read_at, status FROM messages ORDER BY id"
    before = rows_of(marks)
    assert (unread(owner), unread(helper)) == ([2], [1])
    read(owner, key)
    assert (unread(owner), unread(helper)) == ([0], [1])
    assert rows_of(marks) == before, "the pointer is ours, and no legacy row is updated"


def test_withheld_legacy_messages_are_not_unread(helper, owner, groceries, legacy_conversation):
    said = {"content": "What was said", "sender": helper}
    legacy_conversation(
        helper,
        owner,
        groceries,
        [
            said | {"deleted_at": "2025-09-21"},
            said | {"moderation_status": "hidden"},
            said | {"moderation_status": "removed"},
            said,
        ],
    )
    assert unread(owner) == [1]


def test_new_legacy_messages_are_unread(helper, owner, groceries, stage):
    stage("disabled")
    key = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER).conversation_id
    assert (unread(owner), unread(helper)) == ([1], [0])
    read(owner, key)
    send_message(actor=helper, conversation_id=key, content="Are you there?")
    assert (unread(owner), unread(helper)) == ([1], [0])


def test_pages_follow_the_key_both_ways_even_within_one_moment(
    helper, owner, help_request, legacy_conversation, stage, beyond_policies
):
    stage("enabled")
    for _number in range(4):
        offer_help(actor=helper, help_request_id=help_request(user=owner).pk, initial_message=OFFER)
    for _number in range(4):
        legacy_conversation(helper, owner, help_request(user=owner))
    with beyond_policies() as cursor:
        cursor.execute("UPDATE conversations_v2 SET updated_at = '2026-01-01'")
        cursor.execute("UPDATE conversations SET last_message_at = '2026-01-01'")
    everything = [row.id for row in list_conversations(reader=owner).rows]
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == 8

    pages, cursor = list[Any](), None
    while not pages or cursor:
        page = list_conversations(reader=owner, cursor=cursor, size=3)
        pages.append(page)
        cursor = page.next
    assert [row.id for page in pages for row in page.rows] == everything
    back = list_conversations(reader=owner, cursor=pages[2].previous, size=3)
    assert back.rows == pages[1].rows
    first = list_conversations(reader=owner, cursor=back.previous, size=3)
    assert (first.rows, first.previous) == (pages[0].rows, None)


def test_new_activity_drops_nobody_from_the_next_page(helper, owner, help_request, stage):
    stage("enabled")
    keys = [
        offer_help(actor=helper, help_request_id=help_request(user=owner).pk, initial_message=OFFER).conversation_id
        for _number in range(4)
    ]
    first = list_conversations(reader=owner, size=2)
    send_message(actor=helper, conversation_id=keys[3], content="Quick word")
    second = list_conversations(reader=owner, cursor=first.next, size=2)
    assert [row.id for row in second.rows] == [keys[1], keys[0]]


def test_the_list_is_one_query_however_long(helper, owner, help_request, legacy_conversation, stage, monkeypatch):
    stage("enabled")
    for _number in range(6):
        offer_help(actor=helper, help_request_id=help_request(user=owner).pk, initial_message=OFFER)
        legacy_conversation(helper, owner, help_request(user=owner))
    state = snapshot.current()  # which a process that serves has at hand
    monkeypatch.setattr(snapshot, "current", lambda: state)
    with CaptureQueriesContext(connection) as queries:
        assert len(list_conversations(reader=owner).rows) == 12
    asked = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"] and "set_config" not in query["sql"]]
    assert len(asked) == 1
