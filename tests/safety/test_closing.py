"""A closed conversation stays closed until the one who closed it opens it again, whatever way the other tries."""

import pytest
from django.db import DatabaseError, connection, transaction

from carecollective.core.database import acting_as
from carecollective.inbox.closing.services import close_conversation, reopen_conversation
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import send_message
from carecollective.messaging.errors import ClosedByAnother, ConversationInactive, ConversationNotFound
from tests.messaging.refusals import nothing_written, refused
from tests.safety.conftest import VERSIONS

pytestmark = [pytest.mark.django_db, VERSIONS]
API = "/api/messaging/conversations"


def insert_message(version, key, sender, recipient):
    """Write a message in SQL, as the web role acting for its sender."""
    with acting_as(sender), transaction.atomic(), connection.cursor() as cursor:
        if version == "v2":
            cursor.execute(
                "INSERT INTO messages_v2 (id, conversation_id, sender_id, content)"
                " VALUES (gen_random_uuid(), %s, %s, 'Hello?')",
                [key, sender.pk],
            )
        else:
            cursor.execute(
                "INSERT INTO messages (id, conversation_id, sender_id, recipient_id, content)"
                " VALUES (gen_random_uuid(), %s, %s, %s, 'Hello?')",
                [key, sender.pk, recipient.pk],
            )


def test_either_side_closes_and_the_closer_reopens(talk, helper, owner, version):
    key = talk(version)
    close_conversation(actor=owner, conversation_id=key)
    with refused(ConversationInactive, "conversation_inactive", 409):
        send_message(actor=helper, conversation_id=key, content="Hello?")
    with refused(ConversationInactive, "conversation_inactive", 409):
        send_message(actor=owner, conversation_id=key, content="Hello?")
    with refused(ClosedByAnother, "permission_denied", 403):
        reopen_conversation(actor=helper, conversation_id=key)
    reopen_conversation(actor=owner, conversation_id=key)
    assert send_message(actor=helper, conversation_id=key, content="Hello!").is_new
    close_conversation(actor=helper, conversation_id=key)
    with refused(ClosedByAnother, "permission_denied", 403):
        reopen_conversation(actor=owner, conversation_id=key)


def test_it_reads_as_closed_to_both_and_may_be_reopened_by_one(talk, helper, owner, version):
    key = talk(version)
    close_conversation(actor=owner, conversation_id=key)
    seen = [open_thread(reader=one, conversation_id=key, mark_read=False) for one in (helper, owner)]
    assert [(one.read_only, one.may_reopen, one.conversation.status) for one in seen] == [
        ("closed", False, "closed"),
        ("closed", True, "closed"),
    ]
    assert [list_conversations(reader=one).rows[0].status for one in (helper, owner)] == ["closed", "closed"]


def test_closing_twice_is_closing_once(talk, helper, owner, version):
    key = talk(version)
    close_conversation(actor=owner, conversation_id=key)
    with nothing_written():
        close_conversation(actor=owner, conversation_id=key)
        close_conversation(actor=helper, conversation_id=key)


def test_an_outsider_closes_and_reopens_nothing(talk, outsider, owner, version):
    key = talk(version)
    with refused(ConversationNotFound, "conversation_not_found", 404):
        close_conversation(actor=outsider, conversation_id=key)
    close_conversation(actor=owner, conversation_id=key)
    with refused(ConversationNotFound, "conversation_not_found", 404):
        reopen_conversation(actor=outsider, conversation_id=key)


def test_the_form_reopens_for_the_closer_alone(talk, helper, owner, signed_in, version):
    key = talk(version)
    asking, helping = signed_in(owner), signed_in(helper)
    asking.post(f"/messages/{key}/close")
    page = helping.get(f"/messages/{key}").content.decode()
    assert "This conversation is closed" in page
    assert "Reopen it" not in page
    assert helping.post(f"/messages/{key}/reopen").status_code == 403
    assert helping.post(f"/messages/{key}", {"message": "Too late"}).status_code == 409
    assert "Reopen it" in asking.get(f"/messages/{key}").content.decode()
    asking.post(f"/messages/{key}/reopen")
    assert helping.post(f"/messages/{key}", {"message": "In time"}).status_code == 302


def test_the_api_reopens_for_the_closer_alone(talk, helper, owner, api_client, version):
    key = talk(version)
    asking, helping = api_client(owner), api_client(helper)
    assert asking.post(f"{API}/{key}/close").status_code == 204
    answer = helping.post(f"{API}/{key}/reopen")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    answer = helping.post(f"{API}/{key}/messages", {"content": "Too late"}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_inactive")
    assert helping.get(f"{API}/{key}").json()["conversation"]["status"] == "closed"
    assert asking.post(f"{API}/{key}/reopen").status_code == 204
    assert helping.post(f"{API}/{key}/messages", {"content": "In time"}, format="json").status_code == 201


def test_sql_as_the_web_role_neither_writes_nor_reopens(talk, helper, owner, rows_of, version):
    key = talk(version)
    close_conversation(actor=owner, conversation_id=key)
    with nothing_written():
        for sender, recipient in ((helper, owner), (owner, helper)):
            with pytest.raises(DatabaseError, match="row-level security"):
                insert_message(version, key, sender, recipient)
        with acting_as(helper), connection.cursor() as cursor:
            cursor.execute("DELETE FROM safety_closing")
            for statement in (
                "INSERT INTO safety_closing (conversation_id, version, closed_by_id) VALUES (%s, 'v1', %s)"
                " ON CONFLICT (conversation_id) DO UPDATE SET closed_by_id = excluded.closed_by_id",
                "UPDATE safety_closing SET closed_by_id = %s WHERE conversation_id = %s",
                "UPDATE conversations_v2 SET status = 'active' WHERE id = %s AND %s IS NOT NULL",
            ):
                values = [helper.pk, key] if statement.startswith("UPDATE safety") else [key, helper.pk]
                if statement.startswith("UPDATE conv") and version == "v1":
                    continue
                with pytest.raises(DatabaseError), transaction.atomic():
                    cursor.execute(statement, values)
    assert rows_of("SELECT closed_by_id FROM safety_closing") == [(owner.pk,)]


def test_no_legacy_row_changes(talk, owner, rows_of, version):
    key = talk("v1")
    before = rows_of("SELECT * FROM conversations"), rows_of("SELECT * FROM conversation_participants")
    close_conversation(actor=owner, conversation_id=key)
    assert (rows_of("SELECT * FROM conversations"), rows_of("SELECT * FROM conversation_participants")) == before


def test_sql_that_closes_says_who_did(talk, helper, rows_of, version):
    key = talk("v2")
    with acting_as(helper), connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_v2 SET status = 'closed' WHERE id = %s", [key])
    assert rows_of("SELECT conversation_id, closed_by_id FROM safety_closing") == [(key, helper.pk)]


def test_a_closed_legacy_conversation_is_not_gone_on_with(talk, helper, owner, signed_in, stage, version):
    key = talk("v1")
    close_conversation(actor=owner, conversation_id=key)
    stage("enabled", v1_writes=False)
    thread = open_thread(reader=helper, conversation_id=key, mark_read=False)
    assert (thread.read_only, thread.way_on) == ("closed", None)
    answer = signed_in(helper).post(f"/messages/{key}/continue", {"initial_message": "Let us go on here."})
    assert answer.status_code == 400
    with refused(ConversationInactive, "conversation_inactive", 409):
        send_message(actor=helper, conversation_id=key, content="Hello?")
