"""A legacy thread while V1 takes no writes: read always, and gone on with in the new messaging."""

from uuid import uuid4

import pytest

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.inbox.models import ContinuationRequest, Notification, NotificationKind
from carecollective.inbox.records import ReadOnlyReason, WayOn
from carecollective.inbox.selectors import conversation_about, open_thread
from carecollective.inbox.services import (
    CannotContinue,
    ThreadFrozen,
    ask_to_continue,
    continue_in_v2,
    offer_help,
    send_message,
)
from carecollective.messaging.errors import ConversationExists, ConversationNotFound, MessagingUnavailable
from tests.messaging.refusals import nothing_written, refused

GO_ON = "Let us go on talking here."


def look(reader, key):
    return open_thread(reader=reader, conversation_id=key, mark_read=False)


def go_on(actor, key):
    return continue_in_v2(actor=actor, conversation_id=key, initial_message=GO_ON)


@pytest.fixture
def thread(helper, owner, groceries, legacy_conversation, stage):
    key = legacy_conversation(helper, owner, groceries)
    stage("enabled")
    return key


def test_a_frozen_thread_is_read_and_takes_nothing(helper, owner, thread):
    for member in (helper, owner):
        found = look(member, thread)
        assert found.read_only is ReadOnlyReason.LEGACY_FROZEN
        assert [message.content for message in found.messages] == ["Hello from the old days."]
        with refused(ThreadFrozen, "messaging_unavailable", 503) as refusal:
            send_message(actor=member, conversation_id=thread, content="Hello?")
        assert not refusal.value.retry_after, "waiting helps nobody here: there is a way on"


def test_its_helper_may_continue_and_its_requester_may_ask(helper, owner, thread):
    assert look(helper, thread).way_on is WayOn.CONTINUE
    assert look(owner, thread).way_on is WayOn.ASK


def test_asking_tells_the_helper_once(helper, owner, thread):
    ask_to_continue(actor=owner, conversation_id=thread)
    assert look(owner, thread).way_on is WayOn.ASKED
    found = look(helper, thread)
    assert (found.way_on, found.asked_to_continue) == (WayOn.CONTINUE, True)
    with nothing_written():
        ask_to_continue(actor=owner, conversation_id=thread)
    told = Notification.objects.get()
    assert (told.recipient_id, told.kind, told.version) == (helper.pk, NotificationKind.ASKED_TO_CONTINUE, "v1")
    assert str(told) == f"asked_to_continue for {helper.pk}"
    assert str(ContinuationRequest.objects.get()) == f"About {thread}"


def test_asking_twice_at_once_tells_the_helper_once(owner, thread, monkeypatch):
    not_asked_yet = look(owner, thread)
    monkeypatch.setattr("carecollective.inbox.services.open_thread", lambda **given: not_asked_yet)
    ask_to_continue(actor=owner, conversation_id=thread)
    with nothing_written():
        ask_to_continue(actor=owner, conversation_id=thread)


def test_only_the_requester_asks_and_only_the_helper_continues(helper, owner, thread):
    with refused(CannotContinue, "invalid_input", 400):
        ask_to_continue(actor=helper, conversation_id=thread)
    with refused(CannotContinue, "invalid_input", 400):
        go_on(owner, thread)


def test_continuing_opens_a_conversation_about_the_same_request(helper, owner, groceries, thread, rows_of):
    legacy = "SELECT c::text, m::text FROM conversations c JOIN messages m ON m.conversation_id = c.id"
    before = rows_of(legacy)
    started = go_on(helper, thread)
    assert started.version == "v2"
    assert rows_of(legacy) == before
    new = look(owner, started.conversation_id)
    assert (new.conversation.help_request_id, new.conversation.initial_message) == (groceries.pk, GO_ON)
    for member in (helper, owner):
        found = look(member, thread)
        assert (found.way_on, found.continued_as) == (WayOn.CONTINUED, started.conversation_id)
    assert Notification.objects.get().recipient_id == owner.pk
    assert conversation_about(member=helper, help_request_id=groceries.pk) == started


def test_continuing_twice_leads_to_the_one_conversation(helper, owner, thread):
    started = go_on(helper, thread)
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        go_on(helper, thread)
    assert (refusal.value.conversation_id, refusal.value.version) == (started.conversation_id, "v2")
    with refused(CannotContinue, "invalid_input", 400):
        ask_to_continue(actor=owner, conversation_id=thread)


def test_offering_opens_the_frozen_thread_until_it_is_continued(helper, groceries, thread):
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        offer_help(actor=helper, help_request_id=groceries.pk, initial_message=GO_ON)
    assert refusal.value.conversation_id == thread
    started = go_on(helper, thread)
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        offer_help(actor=helper, help_request_id=groceries.pk, initial_message=GO_ON)
    assert refusal.value.conversation_id == started.conversation_id


def test_a_thread_that_is_not_frozen_is_not_continued(helper, owner, thread, stage):
    stage("disabled")
    assert look(helper, thread).read_only is None
    assert look(helper, thread).way_on is None
    with refused(CannotContinue, "invalid_input", 400):
        go_on(helper, thread)
    with refused(CannotContinue, "invalid_input", 400):
        ask_to_continue(actor=owner, conversation_id=thread)


def test_after_a_rollback_both_threads_go_on(helper, owner, thread, stage):
    started = go_on(helper, thread)
    stage("disabled")
    for member in (helper, owner):
        for key, version in ((thread, "v1"), (started.conversation_id, "v2")):
            assert look(member, key).read_only is None
            assert send_message(actor=member, conversation_id=key, content="Still here").version == version


def test_a_helper_out_of_the_cohort_has_to_wait(helper, thread, stage):
    stage("internal", v1_writes=False)
    assert look(helper, thread).way_on is WayOn.CONTINUE
    with refused(MessagingUnavailable, "messaging_unavailable", 503):
        go_on(helper, thread)


def test_a_message_that_cannot_be_taken_continues_nothing(helper, thread):
    with refused(errors.ValidationRefused, "validation_error", 400):
        continue_in_v2(actor=helper, conversation_id=thread, initial_message="too short")


def test_a_member_who_is_not_approved_continues_nothing(helper, thread):
    helper.verification_status = "rejected"
    helper.save(update_fields=["verification_status"])
    with refused(NotApproved, "permission_denied", 403):
        go_on(helper, thread)


def test_outsiders_find_nothing_to_continue(outsider, thread):
    for call in (ask_to_continue, continue_in_v2):
        given = {"initial_message": GO_ON} if call is continue_in_v2 else {}
        with refused(ConversationNotFound, "conversation_not_found", 404):
            call(actor=outsider, conversation_id=thread, **given)


@pytest.mark.parametrize("status", ["completed", "cancelled", "closed"])
def test_about_a_request_that_is_over_there_is_nothing_to_continue(helper, owner, groceries, thread, status):
    type(groceries).objects.filter(pk=groceries.pk).update(status=status)
    assert look(helper, thread).way_on is None
    with refused(CannotContinue, "invalid_input", 400):
        go_on(helper, thread)
    with refused(CannotContinue, "invalid_input", 400):
        ask_to_continue(actor=owner, conversation_id=thread)


def test_about_a_request_that_is_gone_there_is_nothing_to_continue(helper, owner, legacy_conversation, stage):
    key = legacy_conversation(helper, owner, None)
    stage("enabled")
    found = look(owner, key)
    assert (found.help_request, found.way_on, found.read_only) == (None, None, ReadOnlyReason.LEGACY_FROZEN)
    assert (found.conversation.requester_id, found.conversation.helper_id) == (owner.pk, helper.pk)
    with refused(CannotContinue, "invalid_input", 400):
        go_on(helper, key)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"status": "closed"}, ReadOnlyReason.CLOSED),
        ({"status": "blocked"}, ReadOnlyReason.BLOCKED),
        ({"left": None}, ReadOnlyReason.OTHER_LEFT),
    ],
)
@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_what_ended_before_the_freeze_stays_ended(
    helper, owner, groceries, legacy_conversation, stage, options, reason, stage_name
):
    key = legacy_conversation(helper, owner, groceries, **{name: value or [owner] for name, value in options.items()})
    stage(stage_name)
    found = look(helper, key)
    assert (found.read_only, found.way_on) == (reason, None)
    with refused(CannotContinue, "invalid_input", 400):
        go_on(helper, key)


def test_the_request_decides_who_the_requester_is(helper, owner, groceries, legacy_conversation, stage):
    key = legacy_conversation(owner, helper, groceries)
    stage("enabled")
    found = look(helper, key)
    assert (found.conversation.requester_id, found.conversation.helper_id) == (owner.pk, helper.pk)
    assert (found.way_on, look(owner, key).way_on) == (WayOn.CONTINUE, WayOn.ASK)


def test_a_thread_with_nobody_else_in_it_is_ended(
    helper, owner, groceries, legacy_conversation, beyond_policies, stage
):
    key = legacy_conversation(helper, owner, groceries)
    with beyond_policies() as cursor:
        cursor.execute(
            "DELETE FROM conversation_participants WHERE conversation_id = %s AND user_id = %s", [key, owner.pk]
        )
    stage("enabled")
    found = look(helper, key)
    assert (found.other_participant, found.read_only) == (None, ReadOnlyReason.OTHER_LEFT)


@pytest.mark.parametrize("who", ["helper", "owner"])
def test_a_repeat_of_what_was_stored_before_the_freeze_is_answered(request, who, thread, stage):
    """The answer to a send was lost, and meanwhile V1 was frozen: "nothing was sent" would be untrue."""
    sender, key = request.getfixturevalue(who), uuid4()
    stage("disabled")
    first = send_message(actor=sender, conversation_id=thread, content="Thank you!", message_id=key)
    stage("enabled")
    with nothing_written():
        again = send_message(actor=sender, conversation_id=thread, content="Thank you!", message_id=key)
    assert (again.is_new, again.message) == (False, first.message)
    with refused(ThreadFrozen, "messaging_unavailable", 503):
        send_message(actor=sender, conversation_id=thread, content="Another", message_id=uuid4())


def test_a_member_who_is_not_approved_any_more_asks_nobody_to_go_on(owner, thread):
    owner.verification_status = "rejected"
    owner.save(update_fields=["verification_status"])
    with refused(NotApproved, "permission_denied", 403):
        ask_to_continue(actor=owner, conversation_id=thread)
    assert not ContinuationRequest.objects.exists()
    assert not Notification.objects.filter(kind=NotificationKind.ASKED_TO_CONTINUE).exists()
