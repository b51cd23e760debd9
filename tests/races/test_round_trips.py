"""How often each call waits for the database, in a process that serves: as the web role, by token, once all is prepared."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.core.database import connected_as
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.mine import site_words
from carecollective.inbox.services import offer_help, send_message
from carecollective.postgres.bounded import BoundedConnection
from carecollective.postgres.dsn import connection_url
from rollout.targeting import snapshot
from tests.api.conftest import Make, MakeMember
from tests.api.documented import DocumentedClient
from tests.waiting import wait_for

LIST = "/api/messaging/conversations"
WORDS = "Hello, I can help you with this."


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows whenever somebody waits for an answer of the database."""
    seen: list[str] = []
    wait = BoundedConnection.wait

    def watched(gen: Any) -> Any:
        try:
            wanted = gen.send(None)
            seen.append("a round trip")
            while True:
                ready = yield wanted
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    monkeypatch.setattr(
        BoundedConnection, "wait", lambda self, gen, *rest, **named: wait(self, watched(gen), *rest, **named)
    )
    return seen


@pytest.fixture
def pair(committed_db: None, member: MakeMember, stage: Any) -> tuple[User, User]:
    """Who asks for help and who gives it, while everybody uses V2."""
    stage("enabled")
    return member(name="Ada"), member(name="Ben")


def signed_in(member: User) -> DocumentedClient:
    client = DocumentedClient()
    _stored, token = AuthToken.objects.create(user=member)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@contextmanager
def serving() -> Iterator[None]:
    """Serve this thread as a worker serves: as the web role, with the rollout and the events in threads of their own."""
    url = connection_url(settings.DATA_DIR, "web", settings.DATABASES["default"]["NAME"])
    with connected_as(url), pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "ROLLOUT_SNAPSHOT", "thread")
        patch.setattr(settings, "ROLLOUT_EVENTS", "memory")
        wait_for(lambda: snapshot.current().fresh, seconds=10)
        try:
            yield
        finally:
            snapshot.stop()


def test_how_often_each_call_waits_for_the_database(
    pair: tuple[User, User],
    help_request: Make,
    waits: list[str],
) -> None:
    owner, helper = pair
    client = signed_in(helper)
    requests: list[HelpRequest] = [help_request(user=owner, title=f"Request {number}") for number in range(4)]
    counted: dict[str, int] = {}

    def ask(what: str, method: str, path: str, *body: Any) -> Any:
        waits.clear()
        answer = getattr(client, method)(path, *body, format="json") if body else getattr(client, method)(path)
        assert answer.status_code in (200, 201), answer.content
        counted[what] = len(waits)
        return answer.json()

    with serving():
        for request in requests:
            path = f"/api/messaging/help-requests/{request.pk}/start-conversation"
            thread = f"{LIST}/{ask('start', 'post', path, {'initial_message': WORDS})['conversation_id']}"
            ask("send", "post", f"{thread}/messages", {"content": "More"})
            first = ask("send", "post", f"{thread}/messages", {"content": "Still more"})["message_id"]
            ask("inbox", "get", LIST)
            ask("thread", "get", thread)
            ask("poll", "get", f"{thread}/messages?after={first}")
    assert counted == {"start": 3, "send": 3, "inbox": 2, "thread": 2, "poll": 2}


def test_a_start_or_send_commits_with_what_it_writes(
    pair: tuple[User, User],
    help_request: Make,
    waits: list[str],
    rows_of: Any,
) -> None:
    """A refusal by the limit, which is counted in the statement that writes, leaves nothing behind."""
    owner, helper = pair
    client = signed_in(helper)
    settings_of_limits = {"start": 1, "send": 2}
    requests = [help_request(user=owner) for _number in range(3)]
    with pytest.MonkeyPatch.context() as patch, serving():
        patch.setattr(settings, "CONVERSATIONS_PER_HOUR", settings_of_limits["start"])
        patch.setattr(settings, "MESSAGES_PER_MINUTE", settings_of_limits["send"])
        answers = [
            client.post(
                f"/api/messaging/help-requests/{request.pk}/start-conversation",
                {"initial_message": WORDS},
                format="json",
            )
            for request in requests
        ]
        assert [answer.status_code for answer in answers] == [201, 429, 429]
        conversation_id = answers[0].json()["conversation_id"]
        sent = [
            client.post(f"{LIST}/{conversation_id}/messages", {"content": "More"}, format="json")
            for _number in range(4)
        ]
        assert [answer.status_code for answer in sent] == [201, 201, 429, 429]
        assert "More" not in sent[-1].content.decode()
        send_message(actor=owner, conversation_id=conversation_id, content="An answer")

    assert rows_of("SELECT count(*) FROM conversations_v2") == [(1,)]
    assert rows_of("SELECT content FROM messages_v2 ORDER BY created_at") == [("More",), ("More",), ("An answer",)]
    assert rows_of("SELECT action, count(*) FROM core_ratelimithit GROUP BY 1 ORDER BY 1") == [
        ("send_message", 3),
        ("start_conversation", 1),
    ]
    assert rows_of("SELECT count(*) FROM inbox_notification") == [(4,)]


def visit(path: str, member: User, waits: list[str]) -> tuple[int, str]:
    """Visit a page until everything is prepared; return how often the last visit waits, and what the menu shows as unread."""
    browser = Client()
    browser.force_login(member, backend="carecollective.accounts.authentication.LimitedBackend")
    for _number in range(3):
        browser.post(f"{path}/unread")  # of a thread alone
        waits.clear()
        page = browser.get(path)
        assert page.status_code == 200
    count = re.search(r"<span data-number>(.*?)</span>", page.content.decode())
    return len(waits), count[1] if count else "none"


def test_how_often_the_page_of_a_thread_waits_for_the_database(
    pair: tuple[User, User],
    help_request: Make,
    waits: list[str],
) -> None:
    """The session with its member; and the thread with the commit of the visit and what else is unread."""
    owner, helper = pair
    begun = [
        offer_help(actor=helper, help_request_id=help_request(user=owner).pk, initial_message=WORDS) for _number in "12"
    ]
    threads = [f"/messages/{one.conversation_id}" for one in begun]
    with serving():
        assert visit(threads[0], owner, waits) == (2, "1")
        with pytest.MonkeyPatch.context() as patch:
            # It fails when it goes with the commit, and is asked again by itself.
            patch.setattr(site_words, "unread_asked", lambda _reader: ("SELECT 1 / 0", {}))
            assert visit(threads[0], owner, waits) == (3, "1")
        assert visit(threads[1], owner, waits) == (2, "")


def test_how_often_the_page_of_a_request_waits_for_the_database(
    pair: tuple[User, User],
    member: MakeMember,
    help_request: Make,
    waits: list[str],
) -> None:
    """The request; the session with its member; and the visitor's own conversation about it, with what is unread."""
    owner, helper = pair
    other = member(name="Cleo")
    request = help_request(user=owner)
    begun = offer_help(actor=helper, help_request_id=request.pk, initial_message=WORDS)
    send_message(actor=owner, conversation_id=begun.conversation_id, content="An answer")
    with serving():
        assert visit(f"/requests/{request.pk}", helper, waits) == (3, "1")
        # Without a conversation, also why an offer would be refused: in a transaction of its own.
        assert visit(f"/requests/{request.pk}", other, waits) == (5, "")
