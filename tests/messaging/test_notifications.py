"""E-mail about conversations: who, about which request and what to do; the words only by choice."""

import smtplib
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from carecollective.accounts.preferences.services import update_preferences
from carecollective.core.database import ClockTimestamp
from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.models import ConversationMail, Notification, NotificationKind
from carecollective.inbox.notifications.queue import notify, queue_waiting
from carecollective.inbox.services import ask_to_continue, continue_in_v2, mark_read, offer_help, send_message
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.privacy.erasure import erase_for_member
from carecollective.safety.services import block_member
from messaging_v2.services import create_conversation_atomic
from rollout.versions import MessagingVersion

pytestmark = pytest.mark.django_db

OFFER = "Hello, I can bring them on Monday."


@pytest.fixture
def tell(member, help_request, legacy_conversation):
    """Let something wait for a member: `tell(owner, NotificationKind.NEW_MESSAGE, times=2)`."""

    def make(recipient, kind=NotificationKind.NEW_MESSAGE, times=1):
        other = member()
        if kind is NotificationKind.ASKED_TO_CONTINUE:
            key, version = legacy_conversation(recipient, other, help_request(user=other)), MessagingVersion.V1
        else:
            request = help_request(user=recipient)
            opened = create_conversation_atomic(
                actor=other, help_request_id=request.pk, helper_id=other.pk, initial_message=OFFER
            )
            key, version = opened.pk, MessagingVersion.V2
        for _time in range(times):
            notify(recipient_id=recipient.pk, conversation_id=key, version=version, kind=kind)
        return key

    return make


@pytest.fixture(autouse=True)
def at_once(settings):
    """Wait for nothing after the first word: tests/messaging/test_mail_timing.py holds the delay."""
    settings.MAIL_DELAY_SECONDS = 0


def deliver():
    """Do what the worker does, and return how many mails went out."""
    queue_waiting()
    return send_waiting()


def try_now():
    """Let the pause before the next try be over, and do what the worker does."""
    OutgoingMail.objects.update(next_try_at=ClockTimestamp())
    return deliver()


def forget_mails():
    """Let an hour pass since the last mails."""
    ConversationMail.objects.update(mailed_at=ClockTimestamp() - timedelta(hours=2))


def waiting():
    return Notification.objects.filter(settled_at=None).count()


@pytest.fixture
def quiet(rows_of):
    """Give a member quiet hours around now: `quiet(member, from_hours=-1, to_hours=1)`."""

    def put(user, *, from_hours, to_hours):
        ((now,),) = rows_of("SELECT localtimestamp")
        start, end = ((now + timedelta(hours=hours)).time() for hours in (from_hours, to_hours))
        update_preferences(actor=user, email_notifications=True, quiet_hours_start=start, quiet_hours_end=end)

    return put


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_the_recipient_hears_of_it_and_not_what_was_said(helper, owner, groceries, stage, stage_name):
    stage(stage_name)
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    stage(stage_name, v1_writes=True)
    assert deliver() == 1
    send_message(actor=owner, conversation_id=started.conversation_id, content="The gate code is 4711.")
    assert deliver() == 1
    to_owner, to_helper = mail.outbox
    assert (to_owner.to, to_helper.to) == ([owner.email], [helper.email])
    assert to_owner.subject == f"{helper.name} offers to help: {groceries.title}"
    assert to_helper.subject == f"{owner.name} wrote to you: {groceries.title}"
    for message in mail.outbox:
        assert f"/messages/{started.conversation_id}#latest" in message.body
        assert "Read and answer" in message.body
        everything = f"{message.subject} {message.body} {message.message()}"
        assert not [said for said in ("4711", "gate", "Monday") if said in everything]


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_the_words_stand_in_the_mail_of_who_chose_that(helper, owner, groceries, stage, stage_name):
    stage(stage_name, v1_writes=True)
    update_preferences(
        actor=owner, email_notifications=True, quiet_hours_start=None, quiet_hours_end=None, shows_words=True
    )
    started = offer_help(
        actor=helper, help_request_id=groceries.pk, initial_message="Hello, on <b>Monday</b>?\nAt six."
    )
    for number in range(6):
        send_message(actor=helper, conversation_id=started.conversation_id, content=f"Number {number}")
    assert deliver() == 1
    body = mail.outbox[0].body
    assert "> Number 5\n" in body
    assert "Number 0" not in body  # the newest five
    mail.outbox.clear()
    mark_read(actor=owner, conversation_id=started.conversation_id)
    forget_mails()
    send_message(actor=helper, conversation_id=started.conversation_id, content="<b>At six.</b>\nOr seven.")
    assert deliver() == 1
    assert "> <b>At six.</b>\n> Or seven.\n" in mail.outbox[0].body
    html = mail.outbox[0].message().as_bytes().decode()
    assert "&lt;b&gt;At six.&lt;/b&gt;<br>Or seven." in html


def test_many_messages_are_one_email_for_each_conversation(owner, tell):
    for kind in NotificationKind:
        tell(owner, kind, times=5)
    assert deliver() == 3
    bodies = " ".join(str(message.body) for message in mail.outbox)
    assert all(said in bodies for said in ("offers to help", "continue your conversation"))
    assert waiting() == 0


def test_a_count_says_how_much_waits(helper, owner, groceries, stage):
    stage("enabled")
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    mark_read(actor=owner, conversation_id=started.conversation_id)
    for _time in range(3):
        send_message(actor=helper, conversation_id=started.conversation_id, content="One more.")
    assert deliver() == 1
    assert f"{helper.name} wrote you 3 messages about “{groceries.title}”." in mail.outbox[0].body


def test_each_member_gets_their_own(member, tell):
    people = [member(), member()]
    for person in people:
        tell(person)
    assert deliver() == 2
    assert {message.to[0] for message in mail.outbox} == {person.email for person in people}
    assert all(len(message.to) == 1 for message in mail.outbox)


def test_nothing_is_sent_twice(owner, tell):
    tell(owner)
    assert (deliver(), deliver()) == (1, 0)


def test_names_are_written_as_they_are(member, tell):
    tell(member(name="Zoë O'Connell & <Co>"))
    deliver()
    assert "Zoë O'Connell & <Co>" in mail.outbox[0].body


def test_who_wants_no_email_gets_none(owner, tell):
    update_preferences(actor=owner, email_notifications=False, quiet_hours_start=None, quiet_hours_end=None)
    tell(owner)
    assert (deliver(), waiting()) == (0, 0)


@pytest.mark.parametrize("fields", [{"email": None}, {"is_active": False}])
def test_who_cannot_get_or_use_it_gets_none(member, fields, tell, beyond_policies):
    recipient = member()
    tell(recipient)
    with beyond_policies():
        type(recipient).objects.filter(pk=recipient.pk).update(**fields)
    assert (deliver(), waiting(), mail.outbox) == (0, 0, [])


def test_a_member_without_preferences_gets_email(owner, beyond_policies, tell):
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM messaging_preferences")
    tell(owner)
    assert deliver() == 1


@pytest.mark.parametrize(
    ("hours", "is_quiet"),
    [
        ({"from_hours": -1, "to_hours": 1}, True),
        ({"from_hours": 1, "to_hours": 3}, False),
        ({"from_hours": -3, "to_hours": -1}, False),
        ({"from_hours": -11, "to_hours": 11}, True),
        ({"from_hours": 2, "to_hours": -2}, False),
        ({"from_hours": -2, "to_hours": -2}, False),
    ],
)
def test_quiet_hours_hold_the_email_back_and_lose_none(owner, quiet, hours, is_quiet, tell):
    """Some of these reach over midnight, whatever the hour of the test."""
    quiet(owner, **hours)
    tell(owner)
    assert deliver() == (0 if is_quiet else 1)
    assert waiting() == (1 if is_quiet else 0)
    update_preferences(actor=owner, email_notifications=True, quiet_hours_start=None, quiet_hours_end=None)
    assert deliver() == (1 if is_quiet else 0)


class Unreachable(EmailBackend):
    refusal: Exception = OSError()
    broken_for = ""

    def send_messages(self, messages):
        if messages[0].to[0].startswith(self.broken_for):
            raise self.refusal
        return super().send_messages(messages)


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (ConnectionRefusedError(), MailState.WAITING),
        (TimeoutError(), MailState.WAITING),
        (smtplib.SMTPRecipientsRefused({"nobody@example.org": (550, b"no")}), MailState.DEAD),
        (ValueError("Invalid address"), MailState.DEAD),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_one_address_that_fails_keeps_nobody_else_from_their_email(
    member, settings, monkeypatch, caplog, refusal, state, tell
):
    settings.EMAIL_BACKEND = f"{__name__}.Unreachable"
    monkeypatch.setattr(Unreachable, "refusal", refusal)
    monkeypatch.setattr(Unreachable, "broken_for", "nobody")
    people = [member(), member(email="nobody@example.org"), member()]
    for person in people:
        tell(person)
    assert deliver() + deliver() == 2
    assert sorted(message.to[0] for message in mail.outbox) == sorted([people[0].email, people[2].email])
    assert OutgoingMail.objects.get(recipient=people[1]).state == state
    assert "could not be handed over" in caplog.text
    assert "nobody@" not in caplog.text


def test_what_was_read_meanwhile_is_no_news(helper, owner, groceries, stage):
    for stage_name in ("disabled", "enabled"):
        stage(stage_name, v1_writes=True)
        request = groceries if stage_name == "disabled" else type(groceries).objects.create(user=owner, title="More")
        started = offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER)
        queue_waiting()
        mark_read(actor=owner, conversation_id=started.conversation_id)
        assert (send_waiting(), waiting(), mail.outbox) == (0, 0, [])
        send_message(actor=helper, conversation_id=started.conversation_id, content="And one thing more.")
        assert (deliver(), waiting()) == (1, 0)
        mail.outbox.clear()
    assert set(OutgoingMail.objects.values_list("state", flat=True)) == {MailState.SENT, MailState.SKIPPED}


def test_what_was_closed_or_erased_meanwhile_is_no_news(helper, owner, groceries, staff, tell, stage):
    stage("enabled")
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    close_conversation(actor=helper, conversation_id=started.conversation_id)
    assert (deliver(), waiting()) == (0, 0)
    tell(owner)
    for other in type(owner).objects.exclude(pk__in=[owner.pk, helper.pk]):
        erase_for_member(actor=staff(), member_id=other.pk)
    assert (deliver(), waiting(), mail.outbox) == (0, 0, [])


def test_a_wish_to_go_on_is_no_news_once_it_was_granted(helper, owner, groceries, legacy_conversation, stage):
    key = legacy_conversation(helper, owner, groceries)
    stage("enabled")
    ask_to_continue(actor=owner, conversation_id=key)
    queue_waiting()
    continue_in_v2(actor=helper, conversation_id=key, initial_message=OFFER)
    Notification.objects.filter(recipient=owner).update(settled_at=ClockTimestamp())
    assert (send_waiting(), waiting()) == (0, 0)


def test_mail_about_v1_goes_out_after_the_tables_of_v2_were_dropped(
    helper, owner, groceries, stage, tell, beyond_policies
):
    tell(owner)
    stage("disabled", v1_writes=True)
    offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    with beyond_policies() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DROP TABLE messages_v2, conversations_v2 CASCADE")
    assert (deliver(), waiting()) == (1, 0)


def test_who_has_left_by_then_gets_none(owner, tell, staff):
    tell(owner)
    queue_waiting()
    erase_for_member(actor=staff(), member_id=owner.pk)
    assert (deliver(), waiting(), mail.outbox) == (0, 0, [])


def test_a_mail_is_settled_after_it_was_sent(owner, tell, settings, monkeypatch):
    settings.EMAIL_BACKEND = f"{__name__}.Unreachable"
    tell(owner)
    for refusal in (ConnectionRefusedError(), smtplib.SMTPDataError(451, b"later")):
        monkeypatch.setattr(Unreachable, "refusal", refusal)
        assert (try_now(), waiting()) == (0, 1)
    monkeypatch.setattr(Unreachable, "broken_for", "nobody")
    tell(owner, NotificationKind.ASKED_TO_CONTINUE)
    assert (try_now(), waiting()) == (2, 0)
    bodies = " ".join(str(message.body) for message in mail.outbox)
    assert all(said in bodies for said in ("offers to help", "continue your conversation"))


def test_mail_after_a_dead_letter_covers_all_that_is_unread(helper, owner, groceries, stage, settings, monkeypatch):
    settings.EMAIL_BACKEND = f"{__name__}.Unreachable"
    monkeypatch.setattr(Unreachable, "refusal", smtplib.SMTPDataError(550, b"no"))
    stage("enabled")
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    assert (deliver(), deliver(), waiting()) == (0, 0, 1)
    (dead,) = OutgoingMail.objects.all()
    assert (dead.state, dead.attempts) == (MailState.DEAD, 1)
    monkeypatch.setattr(Unreachable, "broken_for", "nobody")
    assert (deliver(), waiting()) == (0, 1)
    send_message(actor=helper, conversation_id=started.conversation_id, content="And one thing more.")
    assert (deliver(), waiting()) == (1, 0)
    assert "offers to help" in mail.outbox[0].body
    dead.refresh_from_db()
    assert dead.state == MailState.SKIPPED


def test_a_retry_keeps_the_quiet_hours_too(owner, tell, quiet, settings, monkeypatch):
    settings.EMAIL_BACKEND = f"{__name__}.Unreachable"
    tell(owner)
    assert deliver() == 0
    quiet(owner, from_hours=-1, to_hours=1)
    monkeypatch.setattr(Unreachable, "broken_for", "nobody")
    assert (try_now(), waiting(), mail.outbox) == (0, 1, [])
    update_preferences(actor=owner, email_notifications=True, quiet_hours_start=None, quiet_hours_end=None)
    assert (try_now(), waiting()) == (1, 0)


def test_what_is_rolled_back_tells_nobody(helper, groceries, stage, settings):
    settings.CONVERSATIONS_PER_HOUR = 0
    stage("enabled")
    with pytest.raises(Exception, match="rate_limit_exceeded"):
        offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    assert Notification.objects.count() == 0


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
@pytest.mark.parametrize("act", ["block", "close"])
def test_what_was_blocked_or_closed_meanwhile_is_no_news(helper, owner, groceries, stage, stage_name, act):
    stage(stage_name, v1_writes=True)
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    if act == "block":
        block_member(actor=owner, member_id=helper.pk)
    else:
        close_conversation(actor=helper, conversation_id=started.conversation_id)
    assert (deliver(), waiting(), mail.outbox) == (0, 0, [])
