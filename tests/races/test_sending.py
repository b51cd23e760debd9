"""Sends at once: repeats are stored once, pollers miss nothing, and nobody waits for somebody who waits for them."""

from functools import partial
from threading import Event
from uuid import UUID, uuid4

import pytest

from carecollective.core.errors import DomainError, RateLimitExceeded
from carecollective.help_requests.services import complete_request, reopen_request
from carecollective.inbox.closing.services import close_conversation, reopen_conversation
from carecollective.inbox.records import Sent
from carecollective.inbox.selectors import list_conversations, messages_after, open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.messaging.errors import IdempotencyConflict
from tests.races.crowd import FEWER_TRIALS, MESSAGES_OF, MOST, TRIALS_OF

OFFER = "Hello, I can bring them on Monday."
STAGES = {"v1": "disabled", "v2": "enabled"}
TABLES = {"v1": "messages", "v2": "messages_v2"}

both_versions = pytest.mark.parametrize("version", ["v1", "v2"])


@pytest.fixture
def started(helper, ask, stage):
    def start(version):
        stage(STAGES[version])
        return offer_help(actor=helper, help_request_id=ask().pk, initial_message=OFFER).conversation_id

    return start


@both_versions
def test_a_send_repeated_while_it_runs_is_stored_once(crowd, owner, started, rows_of, version):
    """The answer was lost and the client tries again, while the first try may still be on its way."""
    key = started(version)
    for trial in range(TRIALS_OF[version]):
        message_id = uuid4()
        send = partial(send_message, actor=owner, conversation_id=key, content=f"Number {trial}", message_id=message_id)
        outcomes = crowd(*[send] * 4)
        assert [type(outcome) for outcome in outcomes] == [Sent] * 4
        assert sorted(outcome.is_new for outcome in outcomes) == [False, False, False, True]
        assert all(outcome.message == outcomes[0].message for outcome in outcomes)
    stored = rows_of(f"SELECT count(*), count(DISTINCT content) FROM {TABLES[version]} WHERE sender_id = %s", owner.pk)
    assert stored == [(TRIALS_OF[version], TRIALS_OF[version])]
    told = rows_of("SELECT count(*) FROM inbox_notification WHERE kind = 'new_message'")
    assert told == [(TRIALS_OF[version],)], "a repeat tells nobody a second time"


@both_versions
def test_one_id_in_two_conversations_at_once_is_one_conflict(crowd, owner, started, rows_of, version):
    keys = [started(version), started(version)]
    for _trial in range(FEWER_TRIALS):
        message_id = uuid4()
        outcomes = crowd(
            *(
                partial(send_message, actor=owner, conversation_id=key, content="Hello", message_id=message_id)
                for key in keys
            )
        )
        assert {type(outcome) for outcome in outcomes} == {Sent, IdempotencyConflict}
    assert rows_of(f"SELECT count(*) FROM {TABLES[version]} WHERE sender_id = %s", owner.pk) == [(FEWER_TRIALS,)]


@both_versions
def test_a_poller_misses_nothing_while_four_write(crowd, helper, owner, started, rows_of, version):
    key, each, finished, polled = started(version), MESSAGES_OF[version], Event(), list[UUID | None]()

    def write(actor):
        for number in range(each):
            send_message(actor=actor, conversation_id=key, content=f"Number {number}")

    def poll():
        after = None
        while True:
            last_look = finished.is_set()
            new = messages_after(reader=helper, conversation_id=key, after=after).messages
            polled.extend(message.id for message in new)
            after = new[-1].id if new else after
            if last_look and not new:
                return

    def write_all_and_say_so(actor):
        write(actor)
        writers.append(actor)
        if len(writers) == 4:
            finished.set()

    writers = []
    outcomes = crowd(poll, *(partial(write_all_and_say_so, actor) for actor in (helper, owner, helper, owner)))
    finished.set()
    assert outcomes == [None] * 5
    stored = [found for (found,) in rows_of(f"SELECT id FROM {TABLES[version]} ORDER BY created_at, id")]
    assert len(stored) >= 4 * each
    assert polled == stored


def test_a_limit_holds_against_messages_at_once(crowd, owner, started, settings):
    settings.MESSAGES_PER_MINUTE = 5
    key = started("v2")
    outcomes = crowd(*[partial(send_message, actor=owner, conversation_id=key, content="Hello")] * MOST)
    assert sum(isinstance(outcome, Sent) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, RateLimitExceeded) for outcome in outcomes) == MOST - 5


def test_everything_at_once_locks_nobody_out(crowd, helper, member, owner, ask, stage):
    """Offers, messages, endings, readings and moves of the flag, crosswise: refusals only, no deadlock, no time-out."""
    requests, another = [ask(), ask()], member()
    stage("enabled")
    keys = [
        offer_help(actor=one, help_request_id=request.pk, initial_message=OFFER).conversation_id
        for one in (helper, another)
        for request in requests
    ]
    first, second = requests
    faults: list[Exception] = []

    def close_reopen_and_look():
        close_conversation(actor=helper, conversation_id=keys[0])
        reopen_conversation(actor=helper, conversation_id=keys[0])
        list_conversations(reader=helper)

    for _trial in range(FEWER_TRIALS):
        newcomer = member()
        outcomes = crowd(
            partial(offer_help, actor=newcomer, help_request_id=first.pk, initial_message=OFFER),
            partial(offer_help, actor=newcomer, help_request_id=second.pk, initial_message=OFFER),
            partial(complete_request, actor=owner, help_request_id=first.pk),
            partial(reopen_request, actor=owner, help_request_id=first.pk),
            lambda: [send_message(actor=owner, conversation_id=key, content="Hello") for key in keys],
            lambda: [open_thread(reader=owner, conversation_id=key, mark_read=True) for key in reversed(keys)],
            close_reopen_and_look,
            lambda: (stage("disabled"), stage("enabled")),
        )
        faults += [
            outcome for outcome in outcomes if isinstance(outcome, Exception) and not isinstance(outcome, DomainError)
        ]
    assert faults == []
