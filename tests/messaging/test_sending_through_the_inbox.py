"""Answering in either version through one door: repeats, limits, and who is told."""

from uuid import uuid4

import pytest

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.core.models import RateLimitHit
from carecollective.help_requests.errors import HelpRequestUnavailable
from carecollective.inbox.models import Notification, NotificationKind
from carecollective.inbox.selectors import messages_after
from carecollective.inbox.services import offer_help, send_message
from carecollective.messaging.errors import (
    ConversationExists,
    ConversationNotFound,
    IdempotencyConflict,
    MessageNotFound,
)
from tests.messaging.refusals import nothing_written, refused

OFFER = "Hello, I can bring them on Monday."
STAGES = {"v1": "disabled", "v2": "enabled"}

both_versions = pytest.mark.parametrize("version", ["v1", "v2"])


@pytest.fixture
def started(stage, helper, groceries):
    def start(version, *, request=groceries):
        stage(STAGES[version])
        found = offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER)
        stage(STAGES[version], v1_writes=True)
        assert found.version == version
        return found.conversation_id

    return start


def send(actor, key, content="See you then.", message_id=None):
    return send_message(actor=actor, conversation_id=key, content=content, message_id=message_id)


@both_versions
def test_the_other_side_is_told_and_the_sender_is_not(helper, owner, started, version):
    key = started(version)
    Notification.objects.all().update(settled_at="2026-01-01T00:00Z")
    for sender, recipient in ((helper, owner), (owner, helper)):
        send(sender, key)
        told = Notification.objects.filter(settled_at=None, recipient=recipient).get()
        assert (told.kind, told.version, told.conversation_id) == (NotificationKind.NEW_MESSAGE, version, key)
    assert Notification.objects.filter(settled_at=None).count() == 2


@both_versions
def test_no_notification_holds_what_was_said(owner, started, version, rows_of):
    send(owner, started(version), "The gate code is 4711.")
    assert not [
        row for (row,) in rows_of("SELECT n::text FROM inbox_notification n") if "4711" in row or "Monday" in row
    ]


@both_versions
def test_a_repeat_stores_tells_and_counts_nothing(owner, started, version):
    key, message_id = started(version), uuid4()
    first = send(owner, key, "Thank you!", message_id)
    with nothing_written():
        again = send(owner, key, "Thank you!", message_id)
    assert (first.is_new, again.is_new, again.message) == (True, False, first.message)


@both_versions
@pytest.mark.parametrize("other", ["content", "sender"])
def test_an_id_used_for_another_message_is_a_conflict(helper, owner, started, version, other):
    key, message_id = started(version), uuid4()
    send(owner, key, "Thank you!", message_id)
    with refused(IdempotencyConflict, "idempotency_conflict", 409):
        send(owner if other == "content" else helper, key, "Thank you!" if other == "sender" else "Thanks", message_id)


@both_versions
def test_an_unknown_conversation_and_anothers_get_the_same_answer(outsider, started, version):
    key, answers = started(version), []
    for found in (uuid4(), key):
        for content in ("Hello", ""):
            with refused(ConversationNotFound, "conversation_not_found", 404) as refusal:
                send(outsider, found, content)
            answers.append(errors.envelope(refusal.value))
    assert all(answer == answers[0] for answer in answers)


@both_versions
def test_refusals_are_the_same_in_both_versions(owner, started, version):
    key = started(version)
    with refused(errors.ValidationRefused, "validation_error", 400):
        send(owner, key, "\u200b")
    owner.verification_status = "pending"
    with refused(NotApproved, "permission_denied", 403):
        send(owner, key)


@both_versions
def test_a_poller_gets_what_came_after(helper, owner, outsider, started, version):
    key = started(version)
    first, second = send(owner, key, "One").message, send(helper, key, "Two").message
    assert messages_after(reader=helper, conversation_id=key, after=first.id).messages == [second]
    assert messages_after(reader=helper, conversation_id=key, after=second.id).messages == []
    assert messages_after(reader=owner, conversation_id=key, after=None).messages[-2:] == [first, second]
    with refused(MessageNotFound, "message_not_found", 404):
        messages_after(reader=helper, conversation_id=key, after=uuid4())
    with refused(ConversationNotFound, "conversation_not_found", 404):
        messages_after(reader=outsider, conversation_id=key, after=first.id)


@both_versions
def test_messages_a_minute_are_limited(owner, started, version, settings):
    settings.MESSAGES_PER_MINUTE = 3
    key, message_id = started(version), uuid4()
    for number in range(3):
        send(owner, key, f"Number {number}", message_id if number == 2 else None)
    with refused(errors.RateLimitExceeded, "rate_limit_exceeded", 429) as refusal:
        send(owner, key)
    assert 55 <= refusal.value.retry_after <= 60
    assert not send(owner, key, "Number 2", message_id).is_new, "a repeat is no use"


def test_messages_in_both_versions_share_one_limit(helper, owner, started, help_request, settings):
    settings.MESSAGES_PER_MINUTE = 2
    legacy, new = started("v1"), started("v2", request=help_request(user=owner))
    send(owner, legacy)
    send(owner, new)
    for key in (legacy, new):
        with refused(errors.RateLimitExceeded, "rate_limit_exceeded", 429):
            send(owner, key)
        assert send(helper, key).is_new, "the other side has a limit of its own"


def test_new_conversations_in_both_versions_share_one_limit(helper, help_request, started, settings, stage):
    settings.CONVERSATIONS_PER_HOUR = 2
    first = help_request()
    started("v1", request=first)
    started("v2", request=help_request())
    for version in ("v1", "v2"):
        request = help_request()
        stage(STAGES[version])
        with refused(errors.RateLimitExceeded, "rate_limit_exceeded", 429) as refusal:
            offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER)
        assert 3590 <= refusal.value.retry_after <= 3600
    with refused(ConversationExists, "conversation_exists", 409):
        offer_help(actor=helper, help_request_id=first.pk, initial_message=OFFER)


def test_only_what_was_written_counts(helper, owner, groceries, help_request, stage):
    stage("enabled")
    offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    over = help_request(status="completed")
    for request, text, kind in (
        (groceries, OFFER, ConversationExists),
        (help_request(), "too short", errors.ValidationRefused),
        (over, OFFER, HelpRequestUnavailable),
    ):
        with pytest.raises(kind):
            offer_help(actor=helper, help_request_id=request.pk, initial_message=text)
    assert RateLimitHit.objects.filter(member=helper).count() == 1
    assert str(RateLimitHit.objects.get()) == f"start_conversation by {helper.pk}"
