"""The inbox, a thread, polling, sending and reading through the API, both versions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.services import offer_help, send_message
from tests.api.conftest import Block, Caller, Make

LIST = "/api/messaging/conversations"
TEXT = "Hello, I can help with your groceries!"

Start = Callable[..., UUID]


def thread(conversation_id: Any) -> str:
    return f"{LIST}/{conversation_id}"


def messages(conversation_id: Any) -> str:
    return f"{LIST}/{conversation_id}/messages"


@pytest.fixture
def start(helper: User, groceries: HelpRequest, stage: Make) -> Start:
    """Open a conversation of a version about the groceries, by the helper, and let both versions be answered."""

    def start(version: str = "v2", *, help_request_id: UUID = groceries.pk) -> UUID:
        stage("enabled" if version == "v2" else "disabled")
        started = offer_help(actor=helper, help_request_id=help_request_id, initial_message=TEXT)
        assert started.version == version
        stage("enabled", v1_writes=True)
        return started.conversation_id

    return start


@pytest.fixture
def conversation(start: Start) -> UUID:
    return start()


versions = pytest.mark.parametrize("version", ["v1", "v2"])


def test_the_inbox_shows_both_versions_as_one_list(
    caller: Caller, start: Start, owner: User, helper: User, help_request: Make, groceries: HelpRequest
) -> None:
    old = start("v1")
    new = start("v2", help_request_id=help_request(user=owner, title="A lift").pk)
    results = caller(owner).get(LIST).json()["results"]
    assert [(row["id"], row["version"], row["unread_count"]) for row in results] == [
        (str(new), "v2", 1),
        (str(old), "v1", 1),
    ]
    row = results[1]
    assert row["help_request"] == {"id": str(groceries.pk), "title": "Groceries", "status": "open"}
    assert row["other_participant"] == {"id": str(helper.pk), "name": "Henry"}
    assert (row["last_message"]["content"], row["last_message"]["sender_id"]) == (TEXT, str(helper.pk))


def test_the_inbox_comes_in_pages_of_twenty_that_lead_there_and_back(
    caller: Caller, start: Start, owner: User, helper: User, help_request: Make
) -> None:
    for _ in range(25):
        start("v2", help_request_id=help_request(user=owner).pk)
    client = caller(helper)
    first = client.get(LIST).json()
    assert (len(first["results"]), first["previous"]) == (20, None)
    assert first["next"].startswith("http://testserver/api/messaging/conversations?cursor=")
    second = client.get(first["next"]).json()
    assert client.get(LIST, {"cursor": first["next_cursor"]}).json() == second
    assert (len(second["results"]), second["next"]) == (5, None)
    ids = [row["id"] for row in first["results"] + second["results"]]
    assert len(set(ids)) == 25
    assert client.get(second["previous"]).json()["results"] == first["results"]


def test_an_outsiders_inbox_is_empty(caller: Caller, conversation: UUID, outsider: User) -> None:
    nowhere = dict.fromkeys(("next", "previous", "next_cursor", "previous_cursor"))
    assert caller(outsider).get(LIST).json() == {"results": []} | nowhere


def test_a_cursor_that_we_did_not_give_out_is_refused(caller: Caller, helper: User) -> None:
    for cursor in ("x", "e30", "bnVsbA", "WzEsMiwzXQ", "%00", "\N{SNOWMAN}"):
        answer = caller(helper).get(LIST, {"cursor": cursor})
        assert (answer.status_code, set(answer.json()["error"]["fields"])) == (400, {"cursor"})


def test_a_v2_thread_shows_the_first_message_in_the_conversation(
    caller: Caller, conversation: UUID, owner: User, helper: User, groceries: HelpRequest
) -> None:
    send_message(actor=owner, conversation_id=conversation, content="Thank you!\r\nTomorrow at 2pm?")
    body = caller(helper).get(thread(conversation)).json()
    assert set(body) == {"conversation", "messages", "previous", "way_on"}
    assert body["way_on"] is None
    shown = body["conversation"]
    assert (shown["id"], shown["version"], shown["status"]) == (str(conversation), "v2", "active")
    assert (shown["requester_id"], shown["helper_id"]) == (str(owner.pk), str(helper.pk))
    assert (shown["help_request_id"], shown["initial_message"]) == (str(groceries.pk), TEXT)
    assert [(message["sender_id"], message["content"]) for message in body["messages"]] == [
        (str(owner.pk), "Thank you!\nTomorrow at 2pm?")
    ]


def test_a_v1_thread_has_the_same_shape(caller: Caller, start: Start, owner: User, helper: User) -> None:
    body = caller(owner).get(thread(start("v1"))).json()
    assert (body["conversation"]["version"], body["conversation"]["helper_id"]) == ("v1", str(helper.pk))
    assert [message["content"] for message in body["messages"]] == [TEXT]


@versions
def test_a_long_thread_comes_in_pages_of_fifty_oldest_first(
    caller: Caller, start: Start, owner: User, helper: User, version: str
) -> None:
    conversation = start(version)
    for number in range(60):
        send_message(actor=owner, conversation_id=conversation, content=f"Message {number}")
    client = caller(helper)
    latest = client.get(thread(conversation)).json()
    assert [message["content"] for message in latest["messages"]] == [f"Message {n}" for n in range(10, 60)]
    older = client.get(latest["previous"]).json()
    assert [message["content"] for message in older["messages"]][-10:] == [f"Message {n}" for n in range(10)]
    assert older["previous"] is None


@versions
def test_polling_brings_only_what_is_newer_and_otherwise_304(
    caller: Caller, start: Start, owner: User, helper: User, version: str
) -> None:
    conversation = start(version)
    first = send_message(actor=owner, conversation_id=conversation, content="One").message
    client = caller(helper)
    answer = client.get(messages(conversation), {"after": str(first.id)})
    assert (answer.status_code, answer.json()) == (200, {"messages": [], "has_more": False})
    assert answer["Cache-Control"] == "private, no-cache"
    again = client.get(messages(conversation), {"after": str(first.id)}, HTTP_IF_NONE_MATCH=answer["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", answer["ETag"])
    assert again["Cache-Control"] == "private, no-cache"
    send_message(actor=owner, conversation_id=conversation, content="Two")
    news = client.get(messages(conversation), {"after": str(first.id)}, HTTP_IF_NONE_MATCH=answer["ETag"])
    assert [message["content"] for message in news.json()["messages"]] == ["Two"]
    assert news["ETag"] != answer["ETag"]
    everything = client.get(messages(conversation)).json()["messages"]
    assert [message["content"] for message in everything][-2:] == ["One", "Two"]


@versions
def test_a_poll_of_a_long_thread_says_that_there_is_more(
    caller: Caller, start: Start, owner: User, helper: User, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carecollective.inbox.selectors.POLL_LIMIT", 3)
    conversation, client = start(version), caller(helper)
    sent = [
        send_message(actor=owner, conversation_id=conversation, content=f"Message {number}").message
        for number in range(7)
    ]

    def contents(poll: Any) -> list[str]:
        return [message["content"] for message in poll.json()["messages"]]

    newest = client.get(messages(conversation))
    assert (contents(newest), newest.json()["has_more"]) == (["Message 4", "Message 5", "Message 6"], True)
    missed = client.get(messages(conversation), {"after": str(sent[0].id)})
    assert (contents(missed), missed.json()["has_more"]) == (["Message 1", "Message 2", "Message 3"], True)
    rest = client.get(messages(conversation), {"after": missed.json()["messages"][-1]["id"]})
    assert (contents(rest), rest.json()["has_more"]) == (["Message 4", "Message 5", "Message 6"], False)
    send_message(actor=owner, conversation_id=conversation, content="Message 7")
    again = client.get(messages(conversation), HTTP_IF_NONE_MATCH=newest["ETag"])
    assert (again.status_code, contents(again)[-1]) == (200, "Message 7")


def test_polling_after_another_conversations_message_is_not_found(
    caller: Caller, start: Start, owner: User, helper: User, help_request: Make
) -> None:
    here, there = start(), start("v2", help_request_id=help_request(user=owner).pk)
    elsewhere = send_message(actor=owner, conversation_id=there, content="Elsewhere").message
    client = caller(helper)
    for place, parameter in ((messages(here), "after"), (thread(here), "before")):
        for unknown in (elsewhere.id, uuid4()):
            answer = client.get(place, {parameter: str(unknown)})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "message_not_found")
        answer = client.get(place, {parameter: "yesterday"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


@versions
def test_a_message_is_stored_once_however_often_it_is_sent(
    caller: Caller, start: Start, owner: User, nothing_written: Block, version: str
) -> None:
    conversation, client = start(version), caller(owner)
    body = {"content": "Thank you!", "id": str(uuid4())}
    first = client.post(messages(conversation), body, format="json")
    assert first.status_code == 201
    assert set(first.json()) == {"success", "message_id", "version", "message"}
    assert (first.json()["message_id"], first.json()["version"]) == (body["id"], version)
    with nothing_written():
        again = client.post(messages(conversation), body | {"content": " Thank you!\n"}, format="json")
        assert (again.status_code, again.json()) == (200, first.json())
        other = client.post(messages(conversation), body | {"content": "No, thanks"}, format="json")
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")


@versions
def test_a_repeat_is_answered_even_when_the_limit_is_reached(
    caller: Caller, start: Start, owner: User, nothing_written: Block, settings: Any, version: str
) -> None:
    conversation, client = start(version), caller(owner)
    settings.MESSAGES_PER_MINUTE = 1
    body = {"content": "Thank you!", "id": str(uuid4())}
    assert client.post(messages(conversation), body, format="json").status_code == 201
    with nothing_written():
        assert client.post(messages(conversation), body, format="json").status_code == 200
        refused = client.post(messages(conversation), {"content": "And another thing"}, format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(refused["Retry-After"]) <= 60


def test_one_members_message_id_tells_another_nothing_and_conflicts(
    caller: Caller, start: Start, owner: User, helper: User, outsider: User, help_request: Make, nothing_written: Block
) -> None:
    taken = send_message(actor=helper, conversation_id=start(), content="Mine", message_id=uuid4()).message.id
    other = offer_help(actor=outsider, help_request_id=help_request().pk, initial_message=TEXT).conversation_id
    with nothing_written():
        answer = caller(outsider).post(messages(other), {"content": "Mine", "id": str(taken)}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize("content", [None, "", "  \r\n ", "\u3164\u2800\u00ad", "x" * 1001, 42, True, ["x"], {"x": 1}])
@versions
def test_a_message_that_cannot_be_taken_is_named(
    caller: Caller, start: Start, owner: User, nothing_written: Block, version: str, content: Any
) -> None:
    conversation = start(version)
    with nothing_written():
        answer = caller(owner).post(messages(conversation), {"content": content}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert set(answer.json()["error"]["fields"]) == {"content"}


@pytest.mark.parametrize(
    "message_id", ["", "1", 5, "{2f1c2b1e-3f7a-4d5c-9a53-1d1f5b6c2f10}", "2f1c2b1e3f7a4d5c9a531d1f5b6c2f10"]
)
def test_a_malformed_message_id_is_named(
    caller: Caller, conversation: UUID, owner: User, nothing_written: Block, message_id: Any
) -> None:
    with nothing_written():
        answer = caller(owner).post(messages(conversation), {"content": "Hello", "id": message_id}, format="json")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], set(error["fields"])) == (400, "invalid_input", {"id"})


def test_a_closed_conversation_takes_no_message_and_stays_readable(
    caller: Caller, conversation: UUID, owner: User, helper: User, nothing_written: Block
) -> None:
    close_conversation(actor=helper, conversation_id=conversation)
    client = caller(owner)
    with nothing_written():
        answer = client.post(messages(conversation), {"content": "Still there?"}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_inactive")
    assert client.get(thread(conversation)).json()["conversation"]["status"] == "closed"


def test_a_frozen_legacy_thread_is_read_and_not_answered(
    caller: Caller, start: Start, owner: User, stage: Make, nothing_written: Block
) -> None:
    conversation = start("v1")
    stage("enabled")
    client = caller(owner)
    with nothing_written():
        answer = client.post(messages(conversation), {"content": "Hello?"}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "messaging_unavailable")
    assert client.get(thread(conversation)).status_code == 200


@versions
@pytest.mark.parametrize("field", ["helper_id", "sender_id", "requester_id", "user_id"])
def test_nobody_sends_or_reads_in_another_members_name(
    caller: Caller, start: Start, owner: User, helper: User, nothing_written: Block, version: str, field: str
) -> None:
    conversation, client = start(version), caller(owner)
    with nothing_written():
        for place in (messages(conversation), f"{thread(conversation)}/read"):
            answer = client.post(place, {"content": "I am Henry", field: str(helper.pk)}, format="json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


@versions
def test_what_is_others_answers_as_if_it_did_not_exist(
    caller: Caller, start: Start, outsider: User, nothing_written: Block, version: str
) -> None:
    conversation, client = start(version), caller(outsider)
    with nothing_written():
        for theirs, nobodys in ((thread(conversation), thread(uuid4())), (messages(conversation), messages(uuid4()))):
            answers = [client.get(place) for place in (theirs, nobodys)]
            assert {answer.status_code for answer in answers} == {404}
            assert answers[0].json() == answers[1].json()
            assert answers[0].json()["error"]["code"] == "conversation_not_found"
        for body in ({"content": "Let me in"}, {"content": "Let me in", "id": str(uuid4())}):
            sent = [client.post(messages(key), body, format="json") for key in (conversation, uuid4())]
            assert [answer.status_code for answer in sent] == [404, 404]
            assert sent[0].json() == sent[1].json()
        read = [client.post(f"{thread(key)}/read") for key in (conversation, uuid4())]
        assert [answer.status_code for answer in read] == [404, 404]
        assert read[0].json() == read[1].json()


@versions
def test_reading_moves_the_readers_pointer_and_only_when_asked_to(
    caller: Caller, start: Start, owner: User, version: str
) -> None:
    conversation, client = start(version), caller(owner)
    client.get(thread(conversation))
    client.get(messages(conversation))
    assert client.get(LIST).json()["results"][0]["unread_count"] == 1
    answer = client.post(f"{thread(conversation)}/read")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(LIST).json()["results"][0]["unread_count"] == 0


def test_a_member_without_approval_reads_but_does_not_write(
    caller: Caller, conversation: UUID, owner: User, nothing_written: Block
) -> None:
    User.objects.filter(pk=owner.pk).update(verification_status="rejected")
    client = caller(owner)
    assert client.get(thread(conversation)).status_code == 200
    with nothing_written():
        answer = client.post(messages(conversation), {"content": "Hello"}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


def test_statements_stay_the_same_however_much_there_is(
    caller: Caller, start: Start, owner: User, helper: User, help_request: Make, statements: Block
) -> None:
    conversation, client = start(), caller(helper)

    def count() -> dict[str, int]:
        counts = {}
        for name, call in (
            ("inbox", lambda: client.get(LIST)),
            ("thread", lambda: client.get(thread(conversation))),
            ("poll", lambda: client.get(messages(conversation))),
            ("send", lambda: client.post(messages(conversation), {"content": "Hello"}, format="json")),
            ("read", lambda: client.post(f"{thread(conversation)}/read")),
        ):
            with statements() as made:
                assert call().status_code in (200, 201, 204)
            counts[name] = len(made)
        return counts

    few = count()
    for version in ("v1", "v2") * 5:
        other = start(version, help_request_id=help_request(user=owner).pk)
        send_message(actor=owner, conversation_id=other, content="Yes, please")
        send_message(actor=owner, conversation_id=conversation, content="More")
    assert count() == few
    # A session asks for one more than a token does: the member.
    # In a process that serves, the one that says who acts begins the transaction in the same round trip.
    assert few["inbox"] <= 3
    assert few["thread"] <= 3
    assert few["poll"] <= 3
    assert few["send"] <= 6
    assert few["read"] <= 3
    # One of them asks how the two stand: blocks, restrictions, and whether the other is still a member.
    assert few["send"] <= 10
