"""When mail about a conversation goes: after some minutes, once until a visit, at most once an hour, or once a day."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from carecollective.accounts.preferences.services import update_preferences
from carecollective.inbox.models import Notification
from carecollective.inbox.notifications import queue
from carecollective.inbox.notifications.queue import queue_waiting
from carecollective.inbox.selectors import open_thread
from carecollective.inbox.services import mark_read, offer_help, send_message
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import MailState, OutgoingMail

pytestmark = pytest.mark.django_db

OFFER = "Hello, I can bring them on Monday."


@pytest.fixture(autouse=True)
def five_minutes(settings):
    settings.MAIL_DELAY_SECONDS = 300


@pytest.fixture(params=["disabled", "enabled"])
def thread(request, helper, groceries, stage):
    """A conversation of either version that the helper has just opened."""
    stage(request.param, v1_writes=True)
    return offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER).conversation_id


def deliver():
    queue_waiting()
    return send_waiting()


def say(member, thread, words="One more."):
    return send_message(actor=member, conversation_id=thread, content=words).message


def unsettled():
    return Notification.objects.filter(settled_at=None).count()


def test_mail_goes_five_minutes_after_the_first_unread_word(thread, helper, wait):
    assert deliver() == 0
    wait(minutes=4)
    say(helper, thread)
    assert deliver() == 0
    wait(minutes=1, seconds=1)
    assert deliver() == 1
    assert unsettled() == 0


def test_the_delay_begins_with_what_is_still_unread(thread, helper, owner, wait):
    wait(minutes=6)
    mark_read(actor=owner, conversation_id=thread)
    say(helper, thread)
    assert deliver() == 0
    wait(minutes=6)
    assert deliver() == 1


def test_no_other_mail_goes_until_the_member_has_visited(thread, helper, owner, wait):
    wait(minutes=6)
    assert deliver() == 1
    for _day in range(3):
        say(helper, thread)
        wait(days=1)
        assert deliver() == 0
    mark_read(actor=owner, conversation_id=thread)
    assert (deliver(), unsettled()) == (0, 0)
    say(helper, thread)
    wait(minutes=6)
    assert deliver() == 1
    assert len(mail.outbox) == 2


def test_at_most_one_mail_an_hour_goes_about_one_conversation(thread, helper, owner, wait):
    wait(minutes=6)
    assert deliver() == 1
    mark_read(actor=owner, conversation_id=thread)
    say(helper, thread)
    for minutes, sent in ((30, 0), (29, 0), (2, 1)):
        wait(minutes=minutes)
        assert deliver() == sent


def test_another_conversation_has_its_own_mail(thread, helper, owner, member, help_request, wait):
    other = offer_help(
        actor=member(), help_request_id=help_request(user=owner).pk, initial_message=OFFER
    ).conversation_id
    wait(minutes=6)
    assert deliver() == 2
    mark_read(actor=owner, conversation_id=other)
    assert {row.reference for row in OutgoingMail.objects.all()} == {str(thread), str(other)}


def test_a_thread_that_is_open_on_a_screen_makes_no_mail(thread, helper, owner, wait):
    """Its page asks for the latest every few seconds, and marks what it shows as read."""
    open_thread(reader=owner, conversation_id=thread, mark_read=True)
    for _time in range(5):
        say(helper, thread)
        mark_read(actor=owner, conversation_id=thread)
        wait(minutes=6)
        assert deliver() == 0
    assert unsettled() == 0


def test_a_page_in_the_background_is_no_visit(thread, helper, owner, wait, signed_in):
    signed_in(owner).get(f"/messages/{thread}/latest")
    signed_in(owner).head(f"/messages/{thread}")
    wait(minutes=6)
    assert deliver() == 1


def test_what_is_read_while_the_mail_waits_is_not_sent(thread, helper, owner, wait):
    wait(minutes=6)
    queue_waiting()
    mark_read(actor=owner, conversation_id=thread)
    say(helper, thread)
    # Read, and something new: its own five minutes begin.
    assert send_waiting() == 0
    assert OutgoingMail.objects.get().state == MailState.WAITING
    wait(minutes=6)
    assert (deliver(), len(mail.outbox)) == (1, 1)


@pytest.fixture
def clock(monkeypatch, rows_of):
    """Let the member's clock show a time, on the same day as now: `clock("07:59")`, and tomorrow: `clock("07:59", days=1)`."""

    def show(text, days=0):
        ((now,),) = rows_of("SELECT clock_timestamp()")
        wanted = datetime.fromisoformat(f"{now.date()}T{text}").replace(tzinfo=UTC) + timedelta(days=days)
        monkeypatch.setattr(
            queue, "local_time", lambda moment, zone: moment + (wanted - datetime.now(UTC)) + timedelta(seconds=1)
        )

    return show


def choose_daily(member):
    update_preferences(
        actor=member, email_notifications=True, quiet_hours_start=None, quiet_hours_end=None, mail_pace="daily"
    )


def test_the_daily_mail_goes_at_eight_and_holds_all(thread, helper, owner, member, help_request, wait, clock):
    choose_daily(owner)
    offer_help(actor=member(), help_request_id=help_request(user=owner).pk, initial_message=OFFER)
    wait(minutes=6)
    clock("23:00")
    assert deliver() == 0
    wait(hours=8)
    clock("07:00", days=1)
    assert deliver() == 0
    wait(hours=1)
    clock("08:01", days=1)
    assert (deliver(), len(mail.outbox)) == (1, 1)
    assert mail.outbox[0].subject == "2 conversations wait for you at Care Collective"
    assert mail.outbox[0].body.count("#latest") == 2
    say(helper, thread)
    wait(hours=1)
    clock("09:01", days=1)
    assert (deliver(), unsettled()) == (0, 1)


def test_the_daily_mail_tells_again_of_what_nobody_visited(thread, helper, owner, wait, clock):
    choose_daily(owner)
    wait(hours=13)
    clock("08:01")
    assert deliver() == 1
    say(helper, thread)
    wait(hours=23)
    assert deliver() == 1


def test_the_daily_mail_says_nothing_when_all_was_read(thread, owner, wait, clock):
    choose_daily(owner)
    wait(hours=13)
    clock("08:01")
    mark_read(actor=owner, conversation_id=thread)
    assert (deliver(), unsettled()) == (0, 0)


def test_a_mail_that_waits_is_left_to_the_daily_one(thread, owner, wait):
    wait(minutes=6)
    queue_waiting()
    choose_daily(owner)
    assert (send_waiting(), unsettled()) == (0, 1)
