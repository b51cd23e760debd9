"""What is unread: the count on every page, marks, the filters of the list, and the archive. Without JavaScript."""

import re
from uuid import uuid4

import pytest
from django.db import OperationalError

from carecollective.core.database import acting_as
from carecollective.inbox.models import ReadPointer
from carecollective.inbox.selectors import count_unread, list_conversations, open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.inbox.unread import context
from carecollective.privacy.erasure import erase_for_member
from carecollective.safety.models import HiddenMessage

pytestmark = pytest.mark.django_db
FIRST = "Hello, I could do this on Friday."


@pytest.fixture
def conversation(member, help_request, stage):
    """A conversation of the new messaging: its id, who helps and who asked."""
    stage("enabled")
    helping, request = member(name="Hugo Brandt"), help_request(title="Milk & bread")
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message=FIRST)
    return started.conversation_id, helping, request.user


@pytest.fixture
def legacy(member, help_request, legacy_conversation):
    """A legacy conversation of two messages: its id, who helps and who asked."""
    helping, asking = member(name="Hugo Brandt"), member(name="Asta Lund")
    request = help_request(user=asking, title="Old wish")
    key = legacy_conversation(request, helping, asking, (helping, "I can come."), (helping, "On Monday?"))
    return key, helping, asking


def read(client, address):
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def shown_count(page):
    """Return what the header and the title say is unread, which is the same."""
    header = re.search(r"<span data-number>([^<]*)</span>", page)
    title = re.search(r"<title>(?:\((\d+\+?)\) )?", page)
    assert header
    assert title
    assert header[1] == (title[1] or "")
    return header[1]


def keys(client, show=""):
    return re.findall(r'data-key="([0-9a-f-]{36})"', read(client, f"/messages?show={show}"))


@pytest.mark.parametrize("address", ["/requests", "/requests/new", "/messages", "/help", "/account", "/logout"])
@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_every_page_says_how_much_is_unread(signed_in, request, kind, address):
    key, helping, asking = request.getfixturevalue(kind)
    client = signed_in(asking)
    before = count_unread(reader=asking)
    assert before == (1 if kind == "conversation" else 2)
    assert shown_count(read(client, address)) == str(before)
    assert shown_count(read(signed_in(helping), address)) == ""
    read(client, f"/messages/{key}")
    assert shown_count(read(client, address)) == ""


def test_the_page_of_the_visit_itself_counts_what_it_shows_as_read(signed_in, conversation):
    key, _helping, asking = conversation
    assert shown_count(read(signed_in(asking), f"/messages/{key}")) == ""


def test_a_visitor_sees_no_count(visitor, conversation):
    assert "data-number" not in read(visitor, "/requests")


def test_more_than_99_are_shown_as_99_and_more(signed_in, conversation, settings):
    settings.MESSAGES_PER_MINUTE = 1000
    key, helping, asking = conversation
    for number in range(98):
        send_message(actor=helping, conversation_id=key, content=f"Message {number}")
    assert shown_count(read(signed_in(asking), "/help")) == "99"
    for number in range(30):
        send_message(actor=helping, conversation_id=key, content=f"More {number}")
    assert shown_count(read(signed_in(asking), "/help")) == "99+"
    assert [row.unread_count for row in list_conversations(reader=asking).rows] == [100]
    assert ">99+ new</span>" in read(signed_in(asking), "/messages")


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_what_staff_have_hidden_is_not_unread(signed_in, request, staff, kind):
    key, _helping, asking = request.getfixturevalue(kind)
    unread = count_unread(reader=asking)
    thread = open_thread(reader=asking, conversation_id=key, mark_read=False)
    hidden = [message.id for message in thread.messages] or [None]  # a V2 thread's first message has no id of its own
    assert unread == len(hidden)
    client = signed_in(asking)
    for number, message_id in enumerate(hidden, 1):
        with acting_as(staff()):
            HiddenMessage.objects.create(conversation_id=key, message_id=message_id)
        left = unread - number
        assert shown_count(read(client, "/help")) == str(left or "")
        assert [row.unread_count for row in list_conversations(reader=asking).rows] == [left]
    assert keys(client, "unread") == []
    page = read(client, "/messages")
    assert "This message was removed by a moderator." in page
    assert "Unread</span>" not in page


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_what_somebody_wrote_who_left_for_good_is_not_unread(request, staff, kind):
    key, helping, asking = request.getfixturevalue(kind)
    if kind == "conversation":
        send_message(actor=helping, conversation_id=key, content="On Monday?")
    assert count_unread(reader=asking) == 2
    erase_for_member(actor=staff(), member_id=helping.pk)
    assert count_unread(reader=asking) == 0
    assert [row.unread_count for row in list_conversations(reader=asking).rows] == [0]


@pytest.mark.parametrize("headers", [{"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}])
def test_a_prefetch_leaves_the_count(signed_in, conversation, headers):
    key, _helping, asking = conversation
    client = signed_in(asking)
    client.get(f"/messages/{key}", headers=headers)
    client.head(f"/messages/{key}")
    client.get("/messages/latest")
    assert shown_count(read(client, "/help")) == "1"


def test_a_database_that_fails_meanwhile_costs_only_the_count(signed_in, conversation, monkeypatch):
    def away(**given):
        raise OperationalError("gone")

    _key, _helping, asking = conversation
    monkeypatch.setattr(context, "count_unread", away)
    assert shown_count(read(signed_in(asking), "/help")) == ""


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_marked_as_unread_counts_until_the_next_visit(signed_in, request, kind):
    key, _helping, asking = request.getfixturevalue(kind)
    client = signed_in(asking)
    read(client, f"/messages/{key}")
    assert client.post(f"/messages/{key}/unread")["Location"] == "/messages?done=unread"
    page = read(client, "/messages?done=unread")
    assert "counts as unread until you open it again" in page
    assert "Unread</span>" in page
    assert shown_count(page) == "1"
    assert [row.unread_count for row in list_conversations(reader=asking).rows] == [1]
    client.head(f"/messages/{key}")
    assert keys(client, "unread") == [str(key)]
    read(client, f"/messages/{key}")
    assert keys(client, "unread") == []
    assert shown_count(read(client, "/help")) == ""


def test_a_conversation_that_was_never_opened_can_be_marked(signed_in, conversation):
    key, helping, _asking = conversation
    client = signed_in(helping)
    client.post(f"/messages/{key}/unread")
    assert shown_count(read(client, "/help")) == "1"
    read(client, f"/messages/{key}")
    assert shown_count(read(client, "/help")) == ""


def test_marking_what_is_new_anyway_counts_nothing_twice(signed_in, conversation):
    key, _helping, asking = conversation
    client = signed_in(asking)
    client.post(f"/messages/{key}/unread")
    page = read(client, "/messages")
    assert shown_count(page) == "1"
    assert "1 new" in page


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_the_filter_shows_what_is_unread_alone(signed_in, request, kind, help_request, member):
    key, _helping, asking = request.getfixturevalue(kind)
    request.getfixturevalue("stage")("enabled")
    other = offer_help(
        actor=member(), help_request_id=help_request(user=asking).pk, initial_message=FIRST
    ).conversation_id
    client = signed_in(asking)
    read(client, f"/messages/{other}")
    assert keys(client) == [str(other), str(key)]
    assert keys(client, "unread") == [str(key)]
    read(client, f"/messages/{key}")
    assert "You have read everything" in read(client, "/messages?show=unread")


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_an_archived_conversation_returns_with_a_new_message(signed_in, request, kind):
    key, helping, asking = request.getfixturevalue(kind)
    client = signed_in(asking)
    assert client.post(f"/messages/{key}/archive")["Location"] == "/messages?done=archived"
    assert keys(client) == []
    assert keys(client, "unread") == []
    assert keys(client, "archived") == [str(key)]
    assert keys(signed_in(helping)) == [str(key)], "the other's inbox is theirs"
    assert shown_count(read(client, "/help")) == "", "what the header counts stands in the list"
    read(client, f"/messages/{key}")
    assert keys(client, "archived") == [str(key)]
    send_message(actor=helping, conversation_id=key, content="One more thing")
    assert keys(client) == [str(key)]
    assert keys(client, "archived") == []
    assert shown_count(read(client, "/help")) == "1"


def test_a_conversation_can_be_taken_out_of_the_archive(signed_in, conversation):
    key, _helping, asking = conversation
    client = signed_in(asking)
    client.post(f"/messages/{key}/archive")
    assert f'action="/messages/{key}/unarchive"' in read(client, "/messages?show=archived")
    client.post(f"/messages/{key}/unarchive")
    assert keys(client) == [str(key)]


def test_programs_still_get_what_is_archived(api_client, signed_in, conversation):
    key, _helping, asking = conversation
    signed_in(asking).post(f"/messages/{key}/archive")
    found = api_client(asking).get("/api/messaging/conversations").json()["results"]
    assert [row["id"] for row in found] == [str(key)]


@pytest.mark.parametrize("action", ["unread", "archive", "unarchive"])
def test_nobody_marks_or_archives_anothers_conversation(signed_in, member, conversation, legacy, action):
    client = signed_in(member())
    for key in (conversation[0], legacy[0], uuid4()):
        assert client.post(f"/messages/{key}/{action}").status_code == 404
    assert not ReadPointer.objects.exists()


@pytest.mark.parametrize("action", ["unread", "archive", "unarchive"])
def test_a_link_alone_marks_nothing(signed_in, conversation, action):
    key, _helping, asking = conversation
    assert signed_in(asking).get(f"/messages/{key}/{action}")["Location"] == f"/messages/{key}"
    assert not ReadPointer.objects.exists()


def test_pages_of_a_filter_stay_within_it(signed_in, member, help_request, stage):
    stage("enabled")
    asking = member()
    for _number in range(23):
        offer_help(actor=member(), help_request_id=help_request(user=asking).pk, initial_message=FIRST)
    client = signed_in(asking)
    first = read(client, "/messages?show=unread")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    assert "show=unread" in older[1]
    assert len(re.findall("data-key=", read(client, "/messages" + older[1].replace("&amp;", "&")))) == 3


def test_an_open_list_answers_304_until_something_changes(signed_in, conversation):
    key, helping, asking = conversation
    client, address = signed_in(asking), "/messages/latest?show=inbox"
    etag = client.get(address)["ETag"]
    unchanged = client.get(address, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    send_message(actor=helping, conversation_id=key, content="Is Monday too late?")
    changed = client.get(address, headers={"If-None-Match": etag})
    page = changed.content.decode()
    assert changed.status_code == 200
    assert "Is Monday too late?" in page
    assert 'data-number="2"' in page
    assert "<html" not in page
