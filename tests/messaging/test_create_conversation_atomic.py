"""The first of the three operations: a conversation together with its first message, or neither."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.help_requests.models import RequestStatus
from carecollective.messaging.errors import ConversationExists
from messaging_v2.models import Conversation, ConversationStatus
from messaging_v2.services import create_conversation_atomic, set_status
from tests.messaging.refusals import refused

OFFER = "Hello, I can bring them on Monday."


def create(actor, request, text=OFFER, **given):
    return create_conversation_atomic(
        actor=actor,
        **({"help_request_id": request.pk, "helper_id": actor.pk, "initial_message": text} | given),
    )


def test_a_conversation_is_opened_with_its_first_message(helper, owner, groceries, rows_of):
    made = create(helper, groceries, "  Hello, I can\r\nbring them.  ")
    assert rows_of(
        "SELECT help_request_id, requester_id, helper_id, initial_message, status FROM conversations_v2"
    ) == [(groceries.pk, owner.pk, helper.pk, "Hello, I can\nbring them.", "active")]
    assert made.created_at is not None
    assert rows_of("SELECT count(*) FROM messages_v2") == [(0,)]


@pytest.mark.parametrize("status", [RequestStatus.OPEN, RequestStatus.IN_PROGRESS])
def test_help_can_be_offered_while_a_request_is_open_or_in_progress(helper, help_request, status):
    assert create(helper, help_request(status=status)).status == ConversationStatus.ACTIVE


@pytest.mark.parametrize("status", [RequestStatus.COMPLETED, RequestStatus.CANCELLED, RequestStatus.CLOSED])
def test_a_request_that_is_over_takes_no_offer(helper, help_request, status):
    request = help_request(status=status)
    with refused(HelpRequestUnavailable, "help_request_unavailable", 400):
        create(helper, request)


def test_nobody_offers_in_anothers_name(helper, outsider, groceries):
    with refused(errors.ActingAsAnother, "permission_denied", 403):
        create(outsider, groceries, helper_id=helper.pk)


def test_not_even_staff_offer_in_anothers_name(helper, staff, groceries):
    boss = staff()
    with refused(errors.ActingAsAnother, "permission_denied", 403):
        create(boss, groceries, helper_id=helper.pk)


@pytest.mark.parametrize("verification", ["pending", "rejected"])
def test_a_member_who_is_not_approved_offers_nothing(member, groceries, verification):
    waiting = member(verification_status=verification)
    with refused(NotApproved, "permission_denied", 403):
        create(waiting, groceries)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "too short",
        "  too short  \n",
        "\u200b" * 20,
        "a" * 1001,
        None,
        1234567890,
        "ten chars\0x",
        "\u202e reversed all",
    ],
)
def test_a_first_message_that_cannot_be_taken_is_refused_by_name(helper, groceries, text):
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        create(helper, groceries, text)
    assert list(refusal.value.fields) == ["initial_message"]


@pytest.mark.parametrize("text", ["ten chars.", "a" * 1000, "😊" * 1000, "\r\n" + "a" * 1000 + "\r\n"])
def test_ten_to_a_thousand_characters_are_taken(helper, groceries, text):
    assert create(helper, groceries, text).initial_message == text.strip()


def test_a_request_that_does_not_exist_is_not_found(helper):
    with refused(HelpRequestNotFound, "help_request_not_found", 404):
        create_conversation_atomic(actor=helper, help_request_id=uuid4(), helper_id=helper.pk, initial_message=OFFER)


def test_nobody_helps_with_their_own_request(owner, groceries):
    with refused(OwnRequest, "invalid_input", 400) as refusal:
        create(owner, groceries)
    assert str(refusal.value.message) == "You cannot offer help on your own request"


def test_a_second_offer_is_answered_with_the_first(helper, groceries, conversation):
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        create(helper, groceries, "Another way of saying it.")
    assert (refusal.value.conversation_id, refusal.value.version) == (conversation.pk, "v2")


def test_a_closed_conversation_still_is_the_pairs_only_one(helper, groceries, conversation):
    set_status(actor=helper, conversation_id=conversation.pk, status=ConversationStatus.CLOSED)
    with refused(ConversationExists, "conversation_exists", 409) as refusal:
        create(helper, groceries)
    assert refusal.value.conversation_id == conversation.pk


def test_an_offer_on_an_ended_request_names_the_conversation(helper, groceries, conversation):
    type(groceries).objects.filter(pk=groceries.pk).update(status=RequestStatus.COMPLETED)
    with refused(ConversationExists, "conversation_exists", 409):
        create(helper, groceries)


def test_two_helpers_have_a_conversation_each(helper, outsider, groceries, conversation):
    assert create(outsider, groceries).pk != conversation.pk


def test_one_helper_talks_about_two_requests(helper, owner, help_request, conversation):
    assert create(helper, help_request(user=owner)).pk != conversation.pk


@pytest.mark.parametrize("broken", ["short", "long", "self", "status", "twice"])
def test_the_database_promises_the_same(helper, owner, groceries, conversation, beyond_policies, broken):
    row = {"request": groceries.pk, "requester": owner.pk, "helper": helper.pk, "text": OFFER, "status": "active"}
    row |= {
        "short": {"text": "        too short          "},
        "long": {"text": "a" * 1001},
        "self": {"requester": helper.pk},
        "status": {"status": "paused"},
        "twice": {},
    }[broken]
    with beyond_policies() as cursor:
        if broken != "twice":
            cursor.execute("DELETE FROM conversations_v2")
        with pytest.raises(IntegrityError, match="conversations_v2_"), transaction.atomic():
            cursor.execute(
                """
                INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message, status)
                VALUES (gen_random_uuid(), %(request)s, %(requester)s, %(helper)s, %(text)s, %(status)s)
                """,
                row,
            )


def test_a_conversation_says_which_it_is_in_the_log(conversation):
    assert str(conversation) == f"Conversation {conversation.pk}"
    assert Conversation._meta.db_table == "conversations_v2"
