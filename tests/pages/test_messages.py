"""The inbox and a thread of either version, without JavaScript."""

import re
from uuid import uuid4

import pytest
from django.utils.html import escape

from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import offer_help, send_message
from tests.hostile.forms import forms_of

pytestmark = pytest.mark.django_db
NOBODYS = "00000000-0000-4000-8000-000000000000"
FIRST = "Hello, I could do this\non <i>Friday</i>."


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
    key = legacy_conversation(request, helping, asking, (helping, "I can come."), (asking, "Please do!"))
    return key, helping, asking


def read(client, address):
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def found(pattern, page):
    match = re.search(pattern, page)
    assert match, pattern
    return " ".join(match[1].split())


def test_one_list_shows_both_versions_and_marks_legacy_ones(signed_in, help_request, legacy, stage):
    key, helping, _asking = legacy
    stage("enabled")
    new = offer_help(actor=helping, help_request_id=help_request(title="New wish").pk, initial_message=FIRST)
    page = read(signed_in(helping), "/messages")
    cards = re.findall(r'data-testid="conversation-card">(.*?)</li>', page, re.DOTALL)
    assert len(cards) == 2
    assert f"/messages/{new.conversation_id}" in cards[0]
    assert f"/messages/{key}" in cards[1]
    assert ["Legacy Conversation" in card for card in cards] == [False, True]
    assert "1 new" in cards[1]
    assert escape("Hello, I could do this\non <i>Friday</i>.") in cards[0]


def test_a_missing_first_message_is_explained(signed_in, member, help_request, legacy_conversation):
    request, helping = help_request(), member()
    key = legacy_conversation(request, helping, request.user)
    client = signed_in(request.user)
    assert "Its first message never arrived." in read(client, "/messages")
    assert "The first message of this conversation never arrived." in read(client, f"/messages/{key}")


def test_a_conversation_without_its_request_is_still_there(signed_in, member, legacy_conversation):
    helping, asking = member(), member()
    key = legacy_conversation(None, helping, asking, (helping, "I can come."))
    client = signed_in(asking)
    assert "A request that is no longer here" in read(client, "/messages")
    assert "I can come." in read(client, f"/messages/{key}")


def test_what_a_moderator_removed_shows_a_note_in_its_place(signed_in, legacy, beyond_policies):
    key, helping, _asking = legacy
    with beyond_policies() as cursor:
        cursor.execute("UPDATE messages SET moderation_status = 'removed' WHERE content = 'Please do!'")
    for address in ("/messages", f"/messages/{key}"):
        page = read(signed_in(helping), address)
        assert "Please do!" not in page
        assert "removed" in page


def test_a_new_thread_begins_with_the_offer_as_it_was_written(signed_in, conversation):
    key, _helping, asking = conversation
    page = read(signed_in(asking), f"/messages/{key}")
    assert page.count(escape(FIRST)) == 1
    assert "Legacy Conversation" not in page
    assert page.count("Send") == 1


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_a_message_is_sent_by_the_form(signed_in, request, kind):
    key, _helping, asking = request.getfixturevalue(kind)
    client = signed_in(asking)
    response = client.post(f"/messages/{key}", {"id": str(uuid4()), "message": "Thank you!\r\n<b>Two</b> o'clock?"})
    assert (response.status_code, response["Location"]) == (302, f"/messages/{key}#latest")
    assert escape("Thank you!\n<b>Two</b> o'clock?") in read(client, f"/messages/{key}")


def test_the_same_form_sent_twice_is_one_message(signed_in, conversation):
    key, helping, asking = conversation
    client = signed_in(asking)
    form_id = found(r'name="id" value="([0-9a-f-]{36})"', read(client, f"/messages/{key}"))
    for _click in range(2):
        assert client.post(f"/messages/{key}", {"id": form_id, "message": "Once"}).status_code == 302
    assert len(open_thread(reader=helping, conversation_id=key, mark_read=False).messages) == 1


def form_of(page):
    """Return what the page's own form holds that nobody sees."""
    fields = next(form.fields for form in forms_of("/", page) if "message" in form.fields)
    return {name: fields[name] for name in ("id", "last_sent")}


def said_by(member, key):
    return [message.content for message in open_thread(reader=member, conversation_id=key, mark_read=False).messages]


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_going_back_and_sending_again_is_one_message(signed_in, request, kind):
    """Going back fetches the page anew, and the browser puts the words back into it."""
    key, helping, asking = request.getfixturevalue(kind)
    client, path = signed_in(asking), f"/messages/{key}"
    before = said_by(helping, key)
    client.post(path, form_of(read(client, path)) | {"message": "Once"}, follow=True)
    for _time in range(2):
        again = form_of(read(client, path))
        assert client.post(path, again | {"message": " Once\r\n"}, follow=True).status_code == 200
    assert said_by(helping, key) == [*before, "Once"]
    # Other words after going back are another message, and clicked twice they are one.
    again = form_of(read(client, path))
    for _click in range(2):
        client.post(path, again | {"message": "Twice"}, follow=True)
    assert said_by(helping, key) == [*before, "Once", "Twice"]


def test_a_browser_that_keeps_the_forms_key_may_send_other_words(signed_in, conversation):
    key, helping, asking = conversation
    client, path = signed_in(asking), f"/messages/{key}"
    form = form_of(read(client, path))
    for text in ("Once", "Once", "Twice", "Once"):
        assert client.post(path, form | {"message": text}).status_code == 302
    assert said_by(helping, key) == ["Once", "Twice"]


def test_the_same_words_on_purpose_are_two_messages(signed_in, conversation, beyond_policies):
    key, helping, asking = conversation
    client, path = signed_in(asking), f"/messages/{key}"
    page = read(client, path)
    for _time in range(2):
        page = client.post(path, form_of(page) | {"message": "Hello?"}, follow=True).content.decode()
    assert said_by(helping, key) == ["Hello?", "Hello?"]
    # And on another day from the list of messages.
    with beyond_policies() as cursor:
        cursor.execute("UPDATE messages_v2 SET created_at = created_at - interval '61 minutes'")
    client.post(path, form_of(read(client, path)) | {"message": "Hello?"})
    assert said_by(helping, key) == ["Hello?"] * 3


@pytest.mark.parametrize("last_sent", ["7d2f6f0e-3c7e-4b8e-9a55-0c2f7a4b9d11", "not-an-id"])
def test_a_made_up_last_message_hides_no_new_one(signed_in, conversation, last_sent):
    key, helping, asking = conversation
    theirs = send_message(actor=helping, conversation_id=key, content="Same").message.id
    for named in (last_sent, str(theirs)):
        signed_in(asking).post(f"/messages/{key}", {"id": str(uuid4()), "last_sent": named, "message": "Same"})
    assert len(said_by(helping, key)) == (3 if last_sent != "not-an-id" else 2)


@pytest.mark.parametrize(("text", "sentence"), [("  \r\n ", "write a message first"), ("<x>" * 400, "200 characters")])
def test_a_refused_message_stays_in_the_form(signed_in, conversation, nothing_written, text, sentence):
    key, _helping, asking = conversation
    with nothing_written():
        response = signed_in(asking).post(f"/messages/{key}", {"id": str(uuid4()), "message": text})
    page = response.content.decode()
    assert response.status_code == 400
    assert sentence in page
    assert escape(text.strip()) in page


def test_a_made_up_form_id_is_refused(signed_in, conversation, nothing_written):
    key, _helping, asking = conversation
    with nothing_written():
        response = signed_in(asking).post(f"/messages/{key}", {"id": "1", "message": "Hello"})
    assert response.status_code == 400


@pytest.mark.parametrize("kind", ["conversation", "legacy"])
def test_another_members_conversation_is_as_if_it_did_not_exist(signed_in, member, request, kind, nothing_written):
    key, _helping, _asking = request.getfixturevalue(kind)
    client = signed_in(member())
    pages = []
    for address in (f"/messages/{key}", f"/messages/{uuid4()}"):
        for method in (client.get, client.post):
            with nothing_written():
                response = method(address, {"message": "Let me in"} if method == client.post else None)
            assert response.status_code == 404
            pages.append(response.content.decode())
    assert len(set(pages)) == 1


def test_opening_a_thread_reads_it_and_looking_back_does_not(signed_in, conversation):
    key, helping, asking = conversation
    sent = send_message(actor=helping, conversation_id=key, content="One more thing")

    def unread():
        return list_conversations(reader=asking).rows[0].unread_count

    assert unread() == 2
    read(signed_in(asking), f"/messages/{key}?before={sent.message.id}")
    assert unread() == 2
    read(signed_in(asking), f"/messages/{key}")
    assert unread() == 0


def test_earlier_messages_are_one_link_away(signed_in, conversation):
    key, helping, asking = conversation
    for number in range(60):
        send_message(actor=helping, conversation_id=key, content=f"Message {number:02}.")
    client = signed_in(asking)
    latest = read(client, f"/messages/{key}")
    assert "Message 10." in latest
    assert "Message 09." not in latest
    assert escape(FIRST) not in latest
    earlier = read(client, found(r'href="([^"]+\?before=[^"]+)"', latest))
    assert "Message 09." in earlier
    assert "Message 10." not in earlier
    assert escape(FIRST) in earlier
    assert "Earlier messages" not in earlier
    assert "Newest messages" in earlier


@pytest.mark.parametrize(("before", "status"), [("nonsense", 400), (NOBODYS, 404)])
def test_a_made_up_place_in_a_thread_is_refused(signed_in, conversation, before, status):
    key, _helping, asking = conversation
    assert signed_in(asking).get(f"/messages/{key}?before={before}").status_code == status


def test_closing_and_reopening_a_conversation(signed_in, conversation, nothing_written):
    key, helping, asking = conversation
    client = signed_in(asking)
    client.post(f"/messages/{key}/close")
    page = read(signed_in(helping), f"/messages/{key}")
    assert "This conversation is closed" in page
    assert 'name="message"' not in page
    with nothing_written():
        assert client.post(f"/messages/{key}", {"message": "Too late"}).status_code == 409
    client.post(f"/messages/{key}/reopen")
    assert 'name="message"' in read(client, f"/messages/{key}")


@pytest.mark.parametrize("action", ["close", "reopen", "ask", "continue"])
def test_a_link_alone_does_nothing_to_a_conversation(signed_in, conversation, nothing_written, action):
    key, _helping, asking = conversation
    with nothing_written():
        assert signed_in(asking).get(f"/messages/{key}/{action}")["Location"] == f"/messages/{key}"


def test_a_frozen_legacy_thread_says_why_and_leads_on(signed_in, legacy, stage):
    key, helping, asking = legacy
    asks, helps = signed_in(asking), signed_in(helping)
    assert 'name="message"' in read(asks, f"/messages/{key}")
    stage("enabled")

    page = read(asks, f"/messages/{key}")
    assert "takes no new messages" in page
    assert 'name="message"' not in page
    assert "/help#legacy" in page
    asks.post(f"/messages/{key}/ask")
    assert "You have asked Hugo Brandt" in " ".join(read(asks, f"/messages/{key}").split())

    assert "Asta Lund would like to go on" in " ".join(read(helps, f"/messages/{key}").split())
    refused = helps.post(f"/messages/{key}/continue", {"initial_message": "<short>"})
    assert refused.status_code == 400
    assert escape("<short>") in refused.content.decode()
    new = helps.post(f"/messages/{key}/continue", {"initial_message": "Shall we go on here?"})["Location"]
    again = helps.post(f"/messages/{key}/continue", {"initial_message": "Shall we go on here?"})["Location"]
    assert new == again != f"/messages/{key}"
    assert "Shall we go on here?" in read(asks, new)
    for client in (asks, helps):
        assert f'href="{new}"' in read(client, f"/messages/{key}")


def test_writing_into_a_frozen_thread_is_refused_as_unavailable(signed_in, legacy, stage, nothing_written):
    key, _helping, asking = legacy
    stage("enabled")
    with nothing_written():
        response = signed_in(asking).post(f"/messages/{key}", {"message": "Hello?"})
    assert response.status_code == 503
    assert not response.has_header("Retry-After")  # V1 does not come back: tests/api/test_frozen_threads.py
    assert "takes no new messages" in response.content.decode()


def test_a_visitor_is_asked_to_sign_in(visitor):
    assert visitor.get("/messages")["Location"] == "/login?next=/messages"


# A legacy thread is read once it is known to be one: as whom, its mark, itself, and what the site says in it.
@pytest.mark.parametrize(("kind", "most"), [("conversation", 8), ("legacy", 11)])
def test_the_inbox_takes_six_queries_and_a_thread_eight(signed_in, member, help_request, request, queries, kind, most):
    key, helping, _asking = request.getfixturevalue(kind)
    for _each in range(5):
        offer_help(actor=helping, help_request_id=help_request().pk, initial_message="Happy to help you.")
        send_message(actor=helping, conversation_id=key, content="One more")
    client = signed_in(helping)
    with queries() as inbox:
        read(client, "/messages")
    with queries() as thread:
        read(client, f"/messages/{key}")
    # A web process keeps the rollout's state in memory; only tests ask the table at each call.
    inbox, thread = ([one for one in asked if "rollout_state" not in one] for asked in (inbox, thread))
    # Two of each are for the count of unread messages in the header, which every page shows: as whom, and how many.
    assert len(inbox) <= 6, inbox
    assert len(thread) <= most, thread


@pytest.fixture
def completed(legacy, beyond_policies):
    """The legacy conversation, ended by a message of the legacy system's own, which it wrote in the asking member's name."""
    key, helping, asking = legacy
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO messages (conversation_id, sender_id, recipient_id, content, message_type, created_at)"
            " VALUES (%s, %s, %s, 'This request was marked completed.', 'system', clock_timestamp())",
            [key, asking.pk, helping.pk],
        )
    return key, helping, asking


@pytest.fixture
def of_three(legacy, member, beyond_policies):
    """The legacy conversation with a third participant, who has the last word."""
    key, helping, asking = legacy
    third = member(name="Tess Oda")
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO conversation_participants (conversation_id, user_id) VALUES (%s, %s)", [key, third.pk]
        )
        cursor.execute(
            "INSERT INTO messages (conversation_id, sender_id, recipient_id, content, created_at)"
            " VALUES (%s, %s, %s, 'I will drive.', clock_timestamp())",
            [key, third.pk, asking.pk],
        )
        # Whoever joined first is the one that the inbox names.
        cursor.execute(
            "UPDATE conversation_participants SET joined_at = now() + interval '1 hour' WHERE user_id = %s", [third.pk]
        )
    return key, helping, asking, third


def said(page):
    """Who says what on a thread's page."""
    return re.findall(r'<p class="who">(.*?)</p>\s*<p class="words">(.*?)</p>', page, re.DOTALL)


@pytest.mark.parametrize("reader", [1, 2], ids=["helping", "asking"])
def test_what_the_legacy_system_wrote_is_nobodys_words(signed_in, completed, reader):
    client = signed_in(completed[reader])
    excerpt = found(r'(?s)<p class="excerpt">(.*?)</p>', read(client, "/messages"))
    assert excerpt == '<span class="hint">Care Collective:</span> This request was marked completed.'
    assert said(read(client, f"/messages/{completed[0]}")) == [
        ("Hugo Brandt", "I can come."),
        ("Asta Lund", "Please do!"),
        ("Care Collective", "This request was marked completed."),
    ]


def test_each_of_three_stands_under_their_own_name(signed_in, of_three):
    key, helping, asking, third = of_three
    excerpts = {}
    for reader in (helping, asking, third):
        client = signed_in(reader)
        excerpts[reader.name] = found(r'(?s)<p class="excerpt">(.*?)</p>', read(client, "/messages"))
        for address in (f"/messages/{key}", f"/messages/{key}/latest"):
            assert said(read(client, address)) == [
                ("Hugo Brandt", "I can come."),
                ("Asta Lund", "Please do!"),
                ("Tess Oda", "I will drive."),
            ]
    assert excerpts == {
        "Hugo Brandt": '<span class="hint">Tess Oda:</span> I will drive.',
        "Asta Lund": '<span class="hint">Tess Oda:</span> I will drive.',
        "Tess Oda": '<span class="hint">You:</span> I will drive.',
    }


def test_the_two_of_a_new_conversation_stand_under_their_own_names(signed_in, conversation):
    key, helping, asking = conversation
    send_message(actor=asking, conversation_id=key, content="Please do!")
    for address in (f"/messages/{key}", f"/messages/{key}/latest"):
        assert [who for who, _words in said(read(signed_in(asking), address))] == [helping.name, asking.name]


def test_an_open_threads_poll_answers_304_until_something_changes(signed_in, conversation):
    key, helping, asking = conversation
    client, address = signed_in(asking), f"/messages/{key}/latest"
    etag = client.get(address)["ETag"]
    unchanged = client.get(address, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    send_message(actor=helping, conversation_id=key, content="Is Monday too late?")
    changed = client.get(address, headers={"If-None-Match": etag})
    assert (changed.status_code, said(changed.content.decode())[-1]) == (200, (helping.name, "Is Monday too late?"))
    assert "<html" not in changed.content.decode()


def test_an_open_threads_poll_marks_nothing_as_read(signed_in, conversation):
    key, helping, asking = conversation
    client = signed_in(asking)
    read(client, f"/messages/{key}")
    send_message(actor=helping, conversation_id=key, content="Is Monday too late?")
    read(client, f"/messages/{key}/latest")
    assert "New messages" in read(client, f"/messages/{key}")
