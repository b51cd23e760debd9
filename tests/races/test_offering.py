"""Many offers at once: one conversation for each pair, whole, in one version."""

from functools import partial
from threading import local
from typing import Any

import pytest

from carecollective.core.database import fetch_one
from carecollective.core.errors import RateLimitExceeded
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox import services
from carecollective.inbox.records import Started
from carecollective.inbox.services import offer_help
from carecollective.messaging.errors import ConversationExists
from carecollective.safety.selectors import read_standing
from rollout.targeting.cohort import decision_for
from rollout.versions import MessagingVersion
from tests.races.crowd import MOST, TRIALS, TRIALS_OF, trials

OFFER = "Hello, I can bring them on Monday."
STAGES = {"v1": "disabled", "v2": "enabled"}

PAIRS = """
SELECT help_request_id, helper_id, count(*) FROM (
  SELECT help_request_id, helper_id FROM conversations_v2
  UNION ALL SELECT help_request_id, created_by FROM conversations
) both_versions GROUP BY 1, 2
"""
HALF = """
SELECT count(*) FROM conversations c
WHERE (SELECT count(*) FROM conversation_participants p WHERE p.conversation_id = c.id) <> 2
   OR (SELECT count(*) FROM messages m WHERE m.conversation_id = c.id) <> 1
"""


def offer(actor, request):
    return offer_help(actor=actor, help_request_id=request.pk, initial_message=OFFER)


def unlocked(pk, *, helper, pair):
    request = HelpRequest.objects.get(pk=pk)
    return request, read_standing(request.user_id), fetch_one(pair, {"help_request": pk, "helper": helper.pk})


@pytest.fixture
def each_its_version(monkeypatch, stage):
    """Let a call decide as if the flag had just moved: `offer_in("v1", helper, request)`."""
    deciding = local()

    def decide(member, known):
        decision = decision_for(member, known)
        return type(decision)(deciding.version, decision.reason, decision.stage, decision.bucket)

    def offer_in(version, actor, request):
        deciding.version = MessagingVersion(version)
        return offer(actor, request)

    stage("enabled", v1_writes=True)
    monkeypatch.setattr(services, "decision_for", decide)
    return offer_in


def one_stands(outcomes):
    """Whether one call opened a conversation and every other was answered with that one."""
    started = [outcome for outcome in outcomes if isinstance(outcome, Started)]
    others = [outcome for outcome in outcomes if isinstance(outcome, ConversationExists)]
    return (
        len(started) == 1
        and len(others) == len(outcomes) - 1
        and {(other.conversation_id, other.version) for other in others}
        <= {(started[0].conversation_id, started[0].version)}
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_two_clicks_at_once_make_one_conversation(crowd, helper, ask, stage, rows_of, version):
    stage(STAGES[version])
    violations = [
        outcomes
        for _trial in range(TRIALS_OF[version])
        if not one_stands(outcomes := crowd(*[partial(offer, helper, ask())] * MOST))
    ]
    assert violations == []
    assert [pair for pair in rows_of(PAIRS) if pair[2] != 1] == []
    assert rows_of("SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM conversations_v2)") == [
        (TRIALS_OF[version], 0) if version == "v1" else (0, TRIALS_OF[version])
    ]
    assert rows_of(HALF) == [(0,)]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_two_helpers_at_once_have_a_conversation_each(crowd, helper, member, ask, stage, rows_of, version):
    stage(STAGES[version])
    another = member()
    for _trial in range(TRIALS_OF[version]):
        request = ask()
        outcomes = crowd(partial(offer, helper, request), partial(offer, another, request))
        assert [type(outcome) for outcome in outcomes] == [Started, Started]
        assert outcomes[0] != outcomes[1]
    assert len(rows_of(PAIRS)) == 2 * TRIALS_OF[version]


def test_concurrent_offers_in_both_versions_make_one_conversation(crowd, helper, ask, each_its_version, rows_of):
    violations: list[Any] = []
    seen: list[MessagingVersion] = []
    for _trial in trials(TRIALS, seen=seen, kinds=2):
        request = ask()
        calls = [partial(each_its_version, version, helper, request) for version in ("v1", "v2") * 2]
        outcomes = crowd(*calls)
        if not one_stands(outcomes):
            violations.append(outcomes)
        seen += [outcome.version for outcome in outcomes if isinstance(outcome, Started)]
    assert violations == []
    assert [pair for pair in rows_of(PAIRS) if pair[2] != 1] == []
    counts = rows_of("SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM conversations_v2)")[0]
    assert sum(counts) == len(seen) >= TRIALS
    assert min(counts) > 0, "each version should have been first at times"


def test_the_flag_may_move_while_conversations_are_opened(crowd, helper, ask, stage, rows_of):
    every_way = {("disabled", "v1"), ("disabled", "v2"), ("enabled", "v2"), ("enabled", "v1")}
    violations: list[Any] = []
    seen: set[tuple[str, str]] = set()
    for trial in trials(TRIALS, seen=seen, kinds=len(every_way)):
        before, after = ("enabled", "disabled") if trial % 2 else ("disabled", "enabled")
        stage(before, v1_writes=True)
        flip = partial(stage, after, v1_writes=True)
        *outcomes, flipped = crowd(*[partial(offer, helper, ask())] * 3, flip, jitter=0.01)
        assert flipped is None
        if not one_stands(outcomes):
            violations.append(outcomes)
        seen |= {(before, outcome.version) for outcome in outcomes if isinstance(outcome, Started)}
    assert violations == []
    # Whichever way the flag moved, it was at times in the middle: the first offer came before it, or after.
    assert seen == every_way
    pairs = rows_of(PAIRS)
    assert (len(pairs), {count for _request, _helper, count in pairs}) == (trial + 1, {1})
    assert rows_of(HALF) == [(0,)]


def test_a_limit_holds_against_calls_at_once(crowd, member, ask, stage, settings):
    settings.CONVERSATIONS_PER_HOUR = 5
    stage("enabled")
    requests = [ask() for _number in range(MOST)]
    for _trial in range(10):
        helper = member()
        outcomes = crowd(*(partial(offer, helper, request) for request in requests))
        assert sum(isinstance(outcome, Started) for outcome in outcomes) == 5
        assert sum(isinstance(outcome, RateLimitExceeded) for outcome in outcomes) == MOST - 5


def test_the_harness_sees_doubled_conversations_without_locks(crowd, helper, ask, stage, rows_of, monkeypatch):
    monkeypatch.setattr("carecollective.messaging.offers.lock_and_read_request", unlocked)
    stage("disabled")
    for _trial in range(20):
        crowd(*[partial(offer, helper, ask())] * MOST)
    assert [pair for pair in rows_of(PAIRS) if pair[2] > 1]


def test_the_harness_sees_a_pair_in_both_versions_without_locks(
    crowd, helper, ask, each_its_version, rows_of, monkeypatch
):
    monkeypatch.setattr("carecollective.messaging.offers.lock_and_read_request", unlocked)
    for _trial in range(20):
        request = ask()
        crowd(*(partial(each_its_version, version, helper, request) for version in ("v1", "v2") * 2))
    assert [pair for pair in rows_of(PAIRS) if pair[2] > 1]
