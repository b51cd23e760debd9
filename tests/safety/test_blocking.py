"""Whom a member has blocked cannot reach them, nor they the other, by any way in and in either version."""

import pytest
from django.db import DatabaseError, connection, transaction

from carecollective.core.database import acting_as
from carecollective.core.errors import DomainNotFound
from carecollective.help_requests.errors import HelpRequestUnavailable
from carecollective.inbox.closing.services import block_other, close_conversation, reopen_conversation, unblock_other
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import continue_in_v2, offer_help, send_message
from carecollective.messaging.errors import ClosedByAnother, ConversationInactive, ConversationNotFound
from carecollective.safety.errors import OneselfBlocked
from carecollective.safety.selectors import list_blocked
from carecollective.safety.services import block_member, end_block, unblock_member
from tests.messaging.refusals import nothing_written, refused
from tests.safety.conftest import VERSIONS
from tests.safety.test_closing import insert_message

pytestmark = pytest.mark.django_db
API = "/api/messaging"
BLOCK = "INSERT INTO safety_block (id, blocker_id, blocked_id) VALUES"
OFFER = "Hello, I can help with this."


def execute_as(member, statement):
    """Execute a statement as the web role acting for a member."""
    with acting_as(member), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


BOTH_WAYS = pytest.mark.parametrize("blocker", ["helper", "owner"])


@pytest.fixture
def another(owner, help_request):
    return help_request(user=owner, title="A lift to town")


@pytest.fixture
def blocked(talk, helper, owner, blocker, version):
    """A conversation of the version, in which one has blocked the other."""
    key = talk(version)
    block_other(actor={"helper": helper, "owner": owner}[blocker], conversation_id=key)
    return key


@VERSIONS
@BOTH_WAYS
def test_no_message_either_way(blocked, helper, owner):
    for one in (helper, owner):
        with refused(ConversationInactive, "conversation_inactive", 409):
            send_message(actor=one, conversation_id=blocked, content="Hello?")


@VERSIONS
@BOTH_WAYS
def test_no_offer_either_way(blocked, helper, owner, another, help_request):
    his = help_request(user=helper)
    for one, request in ((helper, another), (owner, his)):
        with refused(HelpRequestUnavailable, "help_request_unavailable", 400):
            offer_help(actor=one, help_request_id=request.pk, initial_message=OFFER)


@VERSIONS
@BOTH_WAYS
def test_the_pages_refuse_and_keep_what_was_typed(blocked, helper, owner, another, signed_in):
    client = signed_in(helper)
    with nothing_written():
        answer = client.post(f"/messages/{blocked}", {"message": "Are you there?"})
    assert answer.status_code == 409
    answer = client.post(f"/requests/{another.pk}", {"initial_message": OFFER})
    assert answer.status_code == 400
    assert OFFER in answer.content.decode()


@VERSIONS
@BOTH_WAYS
def test_the_api_refuses(blocked, helper, owner, another, api_client):
    client = api_client(helper)
    answer = client.post(f"{API}/conversations/{blocked}/messages", {"content": "Hello?"}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_inactive")
    path = f"{API}/help-requests/{another.pk}/start-conversation"
    answer = client.post(path, {"initial_message": OFFER}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "help_request_unavailable")


@VERSIONS
@BOTH_WAYS
def test_sql_as_the_web_role_is_refused(blocked, helper, owner, another, version):
    with nothing_written():
        for sender, recipient in ((helper, owner), (owner, helper)):
            with pytest.raises(DatabaseError, match="row-level security"):
                insert_message(version, blocked, sender, recipient)
        for statement in (
            "INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)"
            f" VALUES (gen_random_uuid(), '{another.pk}', '{owner.pk}', '{helper.pk}', 'Hello, it is me again.')",
            "INSERT INTO conversations (id, help_request_id, created_by, status)"
            f" VALUES (gen_random_uuid(), '{another.pk}', '{helper.pk}', 'active')",
        ):
            with pytest.raises(DatabaseError, match="row-level security"):
                execute_as(helper, statement)


@VERSIONS
def test_the_blocked_one_reads_a_closed_conversation_and_no_more(talk, helper, owner, signed_in, api_client, version):
    key = talk(version)
    block_other(actor=owner, conversation_id=key)
    thread = open_thread(reader=helper, conversation_id=key, mark_read=False)
    assert (thread.read_only, thread.may_reopen, thread.conversation.status) == ("closed", False, "closed")
    assert list_conversations(reader=helper).rows[0].status == "closed"
    page = signed_in(helper).get(f"/messages/{key}").content.decode()
    assert "This conversation is closed" in page
    assert "Reopen it" not in page
    assert "have blocked" not in page
    answer = api_client(helper).post(f"{API}/conversations/{key}/reopen")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert "block" not in answer.content.decode()


@VERSIONS
def test_the_blocker_sees_their_block_and_ends_it(talk, helper, owner, signed_in, api_client, version):
    key = talk(version)
    client = signed_in(owner)
    client.post(f"/messages/{key}/block")
    page = client.get(f"/messages/{key}").content.decode()
    assert "You have blocked Henry" in page
    client.post(f"/messages/{key}/unblock")
    assert send_message(actor=helper, conversation_id=key, content="Thank you.").is_new
    calls = api_client(owner)
    assert calls.post(f"{API}/conversations/{key}/block").status_code == 204
    assert calls.post(f"{API}/conversations/{key}/unblock").status_code == 204
    assert send_message(actor=helper, conversation_id=key, content="Thank you again.").is_new


@VERSIONS
def test_an_offer_to_whom_one_has_blocked_names_the_way_out(talk, owner, helper, another, version):
    key = talk(version)
    block_other(actor=helper, conversation_id=key)
    with refused(HelpRequestUnavailable, "help_request_unavailable", 400) as refusal:
        offer_help(actor=helper, help_request_id=another.pk, initial_message=OFFER)
    assert "unblock" in str(refusal.value.message)


def test_the_account_page_lists_and_ends_blocks(helper, owner, signed_in):
    client = signed_in(owner)
    assert "Nobody. If somebody troubles you" in client.get("/account").content.decode()
    block_member(actor=owner, member_id=helper.pk)
    assert "Henry" in client.get("/account").content.decode()
    (block,) = list_blocked(member=owner)
    with refused(DomainNotFound, "not_found", 404):
        end_block(actor=helper, block_id=block.block_id)
    assert client.post(f"/account/blocks/{block.block_id}")["Location"] == "/account#blocked"
    assert list_blocked(member=owner) == []


def test_the_blocked_one_does_not_end_it(talk, helper, owner):
    key = talk("v2")
    block_other(actor=owner, conversation_id=key)
    with nothing_written():
        unblock_other(actor=helper, conversation_id=key)
        unblock_member(actor=helper, member_id=owner.pk)
        execute_as(helper, "DELETE FROM safety_block")
    assert list_blocked(member=helper) == []


def test_each_ends_their_own_block_only(talk, helper, owner):
    key = talk("v2")
    for one in (helper, owner):
        block_other(actor=one, conversation_id=key)
    unblock_other(actor=owner, conversation_id=key)
    assert open_thread(reader=owner, conversation_id=key, mark_read=False).read_only == "closed"
    assert open_thread(reader=helper, conversation_id=key, mark_read=False).read_only == "blocked_by_you"


def test_reopening_does_not_reach_around_a_block(talk, helper, owner):
    key = talk("v2")
    close_conversation(actor=helper, conversation_id=key)
    block_other(actor=owner, conversation_id=key)
    with refused(ClosedByAnother, "permission_denied", 403):
        reopen_conversation(actor=helper, conversation_id=key)


def test_a_frozen_legacy_conversation_is_not_gone_on_with(talk, helper, owner, stage):
    key = talk("v1")
    block_other(actor=owner, conversation_id=key)
    stage("enabled", v1_writes=False)
    thread = open_thread(reader=helper, conversation_id=key, mark_read=False)
    assert (thread.read_only, thread.way_on) == ("closed", None)
    with pytest.raises(Exception, match="invalid_input"):
        continue_in_v2(actor=helper, conversation_id=key, initial_message=OFFER)


def test_nobody_blocks_themselves_or_by_a_conversation_of_others(talk, owner, outsider):
    key = talk("v2")
    with refused(OneselfBlocked, "invalid_input", 400):
        block_member(actor=owner, member_id=owner.pk)
    with refused(ConversationNotFound, "conversation_not_found", 404):
        block_other(actor=outsider, conversation_id=key)


def test_blocking_twice_is_blocking_once(helper, owner):
    block_member(actor=owner, member_id=helper.pk)
    with nothing_written():
        block_member(actor=owner, member_id=helper.pk)


def test_sql_blocks_for_nobody_else(helper, owner, outsider):
    with pytest.raises(DatabaseError, match="row-level security"):
        execute_as(outsider, f"{BLOCK} (gen_random_uuid(), '{owner.pk}', '{helper.pk}')")


@VERSIONS
@pytest.mark.parametrize("leaving", ["helper", "owner"])
def test_a_thread_with_a_departed_member_is_read_only_and_says_so(
    talk, helper, owner, signed_in, version, leaving, rows_of
):
    key = talk(version)
    gone, left = (helper, owner) if leaving == "helper" else (owner, helper)
    type(gone).objects.filter(pk=gone.pk).update(is_active=False)
    thread = open_thread(reader=left, conversation_id=key, mark_read=False)
    assert thread.read_only == "other_gone"
    assert f"{gone.name} is no longer a member" in signed_in(left).get(f"/messages/{key}").content.decode()
    with refused(ConversationInactive, "conversation_inactive", 409):
        send_message(actor=left, conversation_id=key, content="Hello?")
    with pytest.raises(DatabaseError, match="row-level security"):
        insert_message(version, key, left, gone)
