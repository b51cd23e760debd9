"""Which version a new conversation uses, and that a pair has one conversation over both."""

import pytest

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.inbox.closing.services import close_conversation, reopen_conversation
from carecollective.inbox.models import Notification, NotificationKind
from carecollective.inbox.selectors import conversation_about, list_conversations, offers_on, open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.messaging.errors import (
    ConversationExists,
    ConversationInactive,
    MessagingUnavailable,
)
from rollout.targeting.cohort import INTERNAL_TESTERS
from tests.messaging.refusals import refused

OFFER = "Hello, I can bring them on Monday."


def offer(actor, request, text=OFFER):
    return offer_help(actor=actor, help_request_id=request.pk, initial_message=text)


@pytest.mark.parametrize(
    ("stage_name", "v1_writes", "who", "version"),
    [
        ("disabled", True, "anyone", "v1"),
        ("disabled", True, "staff", "v1"),
        ("disabled", True, "tester", "v1"),
        ("disabled", False, "staff", None),
        ("internal", True, "anyone", "v1"),
        ("internal", True, "staff", "v2"),
        ("internal", True, "tester", "v2"),
        ("internal", False, "anyone", None),
        ("internal", False, "tester", "v2"),
        ("percentage:100", True, "anyone", "v2"),
        ("enabled", False, "anyone", "v2"),
        ("enabled", True, "anyone", "v2"),
    ],
)
def test_the_helpers_cohort_decides(
    member, groceries, stage, rows_of, beyond_policies, stage_name, v1_writes, who, version
):
    helper = member(is_staff=who == "staff")
    if who == "tester":
        with beyond_policies() as cursor:
            cursor.execute(
                "INSERT INTO profiles_groups (user_id, group_id) SELECT %s, id FROM auth_group WHERE name = %s",
                [helper.pk, INTERNAL_TESTERS],
            )
    stage(stage_name, v1_writes=v1_writes)
    if version is None:
        with refused(MessagingUnavailable, "messaging_unavailable", 503) as refusal:
            offer(helper, groceries)
        assert refusal.value.retry_after
        return
    assert offer(helper, groceries).version == version
    counts = rows_of("SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM conversations_v2)")
    assert counts == [(1, 0) if version == "v1" else (0, 1)]


def test_the_owners_cohort_decides_nothing(helper, staff, help_request, stage):
    stage("internal")
    assert offer(helper, help_request(user=staff())).version == "v1"


def test_anybody_in_the_cohort_meets_anybody_out_of_it(helper, member, help_request, stage):
    stage("internal")
    boss = member(is_staff=True)
    started = offer(boss, help_request(user=helper))
    stage("disabled")
    sent = send_message(actor=helper, conversation_id=started.conversation_id, content="Thanks!")
    assert (started.version, sent.version) == ("v2", "v2")


@pytest.mark.parametrize(("before", "after", "version"), [("disabled", "enabled", "v1"), ("enabled", "disabled", "v2")])
def test_a_conversation_keeps_its_version_when_the_flag_moves(helper, owner, groceries, stage, before, after, version):
    stage(before)
    started = offer(helper, groceries)
    stage(after, v1_writes=True)
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        offer(helper, groceries)
    assert (refusal.value.conversation_id, refusal.value.version) == (started.conversation_id, version)
    for member in (helper, owner):
        assert send_message(actor=member, conversation_id=started.conversation_id, content="Hello").version == version
        assert open_thread(reader=member, conversation_id=started.conversation_id, mark_read=True).read_only is None
        assert [row.version for row in list_conversations(reader=member).rows] == [version]
    assert conversation_about(member=helper, help_request_id=groceries.pk) == started


@pytest.mark.parametrize("stage_name", ["disabled", "internal", "percentage:0.1", "enabled"])
def test_no_stage_hides_a_conversation(helper, owner, outsider, groceries, stage, stage_name):
    stage("disabled")
    legacy = offer(helper, groceries)
    stage("enabled")
    new = offer(outsider, groceries)
    stage(stage_name)
    assert {row.id for row in list_conversations(reader=owner).rows} == {legacy.conversation_id, new.conversation_id}
    for started in (legacy, new):
        thread = open_thread(reader=owner, conversation_id=started.conversation_id, mark_read=False)
        assert thread.conversation.version == started.version
    offers = offers_on(owner=owner, help_request_id=groceries.pk)
    assert [found.conversation_id for found in offers] == [new.conversation_id, legacy.conversation_id]
    assert [found.helper.name for found in offers] == ["Oscar", "Henry"]


@pytest.mark.parametrize("status", ["active", "closed", "blocked"])
def test_a_legacy_conversation_is_given_back_instead_of_a_second_one(
    helper, owner, groceries, stage, legacy_conversation, status
):
    key = legacy_conversation(helper, owner, groceries, status=status)
    stage("enabled")
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        offer(helper, groceries)
    assert (refusal.value.conversation_id, refusal.value.version) == (key, "v1")


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_an_orphan_of_the_legacy_failure_stands_in_nobodys_way(
    helper, owner, groceries, stage, legacy_conversation, stage_name
):
    orphan = legacy_conversation(helper, owner, groceries, [])
    stage(stage_name)
    assert conversation_about(member=helper, help_request_id=groceries.pk) is None
    started = offer(helper, groceries)
    assert started.conversation_id != orphan
    assert {row.id for row in list_conversations(reader=helper).rows} == {orphan, started.conversation_id}


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_the_refusals_are_the_same_in_both_versions(helper, owner, member, help_request, groceries, stage, stage_name):
    stage(stage_name)
    over, waiting = help_request(status="completed"), member(verification_status="pending")
    with refused(OwnRequest, "invalid_input", 400):
        offer(owner, groceries)
    with refused(HelpRequestUnavailable, "help_request_unavailable", 400):
        offer(helper, over)
    with refused(NotApproved, "permission_denied", 403):
        offer(waiting, groceries)
    with refused(errors.ValidationRefused, "validation_error", 400):
        offer(helper, groceries, "too short")
    with refused(HelpRequestNotFound, "help_request_not_found", 404):
        offer_help(actor=helper, help_request_id=helper.pk, initial_message=OFFER)


def test_an_ended_request_still_links_its_conversation(helper, groceries, stage):
    stage("enabled")
    started = offer(helper, groceries)
    type(groceries).objects.filter(pk=groceries.pk).update(status="completed")
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        offer(helper, groceries)
    assert refusal.value.conversation_id == started.conversation_id


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_the_owner_is_told_and_the_helper_is_not(helper, owner, groceries, stage, stage_name):
    stage(stage_name)
    started = offer(helper, groceries)
    told = Notification.objects.get()
    assert (told.recipient_id, told.kind, told.version, told.conversation_id, told.settled_at) == (
        owner.pk,
        NotificationKind.NEW_CONVERSATION,
        started.version,
        started.conversation_id,
        None,
    )


def test_a_v2_conversation_is_closed_and_reopened(helper, owner, groceries, stage):
    stage("enabled")
    key = offer(helper, groceries).conversation_id
    close_conversation(actor=owner, conversation_id=key)
    assert open_thread(reader=helper, conversation_id=key, mark_read=False).read_only == "closed"
    with refused(ConversationInactive, "conversation_inactive", 409):
        send_message(actor=helper, conversation_id=key, content="Hello?")
    reopen_conversation(actor=owner, conversation_id=key)
    assert send_message(actor=helper, conversation_id=key, content="Hello!").is_new


def test_nobody_has_a_conversation_about_a_request_until_they_offer(helper, owner, outsider, groceries, stage):
    stage("enabled")
    assert conversation_about(member=helper, help_request_id=groceries.pk) is None
    offer(helper, groceries)
    assert conversation_about(member=outsider, help_request_id=groceries.pk) is None
    assert offers_on(owner=outsider, help_request_id=groceries.pk) == []
