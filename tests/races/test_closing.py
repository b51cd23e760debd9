"""Endings while others still offer and write: nothing is ever newer than the ending, by the database's clock."""

from functools import partial
from threading import Event

import pytest

from carecollective.core.database import ClockTimestamp
from carecollective.help_requests.errors import HelpRequestUnavailable
from carecollective.help_requests.models import HelpRequest, RequestStatus
from carecollective.help_requests.services import cancel_request, complete_request
from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.records import Sent, Started
from carecollective.inbox.services import offer_help, send_message
from carecollective.messaging.errors import ConversationInactive
from carecollective.safety.selectors import read_standing
from messaging_v1.models import Conversation
from tests.races.crowd import TRIALS, TRIALS_OF, trials

OFFER = "Hello, I can bring them on Monday."
STAGES = {"v1": "disabled", "v2": "enabled"}

NEWER_THAN_THE_REQUESTS_END = """
SELECT count(*) FROM (
  SELECT help_request_id, created_at FROM conversations_v2
  UNION ALL SELECT help_request_id, created_at FROM conversations
  UNION ALL SELECT help_request_id, created_at FROM messages
) made JOIN help_requests r ON r.id = made.help_request_id
WHERE r.status IN ('cancelled', 'completed') AND made.created_at >= coalesce(r.cancelled_at, r.completed_at)
"""
NEWER_THAN_THE_CONVERSATIONS_END = """
SELECT count(*) FROM messages_v2 m JOIN conversations_v2 c ON c.id = m.conversation_id
WHERE c.status = 'closed' AND m.created_at >= c.updated_at
"""


def offer(actor, request):
    return offer_help(actor=actor, help_request_id=request.pk, initial_message=OFFER)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("end", [cancel_request, complete_request], ids=["cancelled", "completed"])
def test_no_conversation_is_newer_than_its_requests_end(
    crowd, helper, member, owner, ask, stage, rows_of, version, end
):
    stage(STAGES[version])
    helpers = [helper, member()]
    seen: list[type] = []
    for _trial in trials(TRIALS_OF[version], seen=seen, kinds=2):
        request = ask()
        *outcomes, ended = crowd(
            *(partial(offer, one, request) for one in helpers),
            partial(end, actor=owner, help_request_id=request.pk),
            jitter=0.008,
        )
        assert ended.status in (RequestStatus.CANCELLED, RequestStatus.COMPLETED)
        seen += [type(outcome) for outcome in outcomes]
    assert set(seen) == {Started, HelpRequestUnavailable}, "some should have come before the end, and some after"
    assert rows_of(NEWER_THAN_THE_REQUESTS_END) == [(0,)]
    assert rows_of(f"SELECT count(*) FROM {'conversations' if version == 'v1' else 'conversations_v2'}") == [
        (seen.count(Started),)
    ]


def test_no_message_is_newer_than_its_conversations_end(crowd, helper, owner, ask, stage, rows_of):
    stage("enabled")
    seen: list[type] = []
    for _trial in trials(TRIALS, seen=seen, kinds=2):
        key = offer(helper, ask()).conversation_id
        *outcomes, ended = crowd(
            *(
                partial(send_message, actor=actor, conversation_id=key, content="Quick word")
                for actor in (helper, owner, helper)
            ),
            partial(close_conversation, actor=owner, conversation_id=key),
            jitter=0.008,
        )
        assert ended is None
        seen += [type(outcome) for outcome in outcomes]
    assert set(seen) == {Sent, ConversationInactive}, "some should have come before the end, and some after"
    assert rows_of(NEWER_THAN_THE_CONVERSATIONS_END) == [(0,)]
    assert rows_of("SELECT count(*) FROM messages_v2") == [(seen.count(Sent),)]


def test_the_harness_sees_late_messages_without_locks(crowd, helper, ask, stage, rows_of, monkeypatch):
    """The request ends between the writing of a conversation and of its first message."""
    opened, ended = Event(), Event()
    add = Conversation.save

    def add_and_wait(conversation, **given):
        add(conversation, **given)
        opened.set()
        ended.wait(10)

    def read_unlocked(pk, **_given):
        request = HelpRequest.objects.get(pk=pk)
        return request, read_standing(request.user_id), None

    def end(request):
        opened.wait(10)
        HelpRequest.objects.filter(pk=request.pk).update(status="cancelled", cancelled_at=ClockTimestamp())
        ended.set()

    monkeypatch.setattr(Conversation, "save", add_and_wait)
    monkeypatch.setattr("carecollective.messaging.offers.lock_and_read_request", read_unlocked)
    stage("disabled")
    request = ask()
    crowd(partial(offer, helper, request), partial(end, request))
    assert rows_of(NEWER_THAN_THE_REQUESTS_END)[0][0] > 0
