"""A member answers by replying to the mail: the same service, limits and refusals as the page, once, and by nobody else."""

import io
import re
import sys
import time
from datetime import timedelta
from email.message import EmailMessage
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from carecollective.accounts.models import User
from carecollective.accounts.preferences.services import update_preferences
from carecollective.core.database import acting_as
from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.models import ConversationMail, ReadPointer, RefusedReply
from carecollective.inbox.notifications.queue import DAILY_NEWS, queue_waiting
from carecollective.inbox.replies import addresses, services
from carecollective.inbox.replies.addresses import find_conversation, is_reply_address_of, make_reply_address
from carecollective.inbox.replies.services import REPLY_REFUSED, Received, receive_mail
from carecollective.inbox.selectors import open_thread
from carecollective.inbox.services import ask_to_continue, offer_help, send_message
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import queue_mail
from carecollective.privacy.erasure import erase_for_member
from carecollective.safety.models import Restriction, RestrictionKind
from carecollective.safety.services import block_member
from tests.privacy.stored import stored

pytestmark = pytest.mark.django_db
OFFER = "Hello, I can bring them on Monday."
QUOTE = "\n\nOn Mon, 23 Nov 2026 at 10:00, Care Collective <no-reply@care.example> wrote:\n\n> Hello Ada,\n> Ben wrote to you.\n"


@pytest.fixture(autouse=True)
def replies_are_on(settings):
    settings.REPLY_DOMAIN = "in.care.example"
    settings.MAIL_DELAY_SECONDS = 0


@pytest.fixture(params=["disabled", "enabled"])
def thread(request, helper, owner, groceries, stage):
    """A conversation of either version, in which the owner has been mailed about the offer."""
    stage(request.param, v1_writes=True)
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    queue_waiting()
    assert send_waiting() == 1
    return SimpleNamespace(id=started.conversation_id, address=mail.outbox[0].reply_to[0])


@pytest.fixture
def write(owner, thread):
    """A reply as a mail program writes it: `write("Yes, please.", headers={"Precedence": "bulk"})`."""

    def make(text="Yes, please." + QUOTE, *, sender=None, to=None, headers=None):
        message = EmailMessage()
        message["From"] = sender or f"Ada <{str(owner.email).upper()}>"
        message["To"] = to or thread.address
        message["Message-ID"] = f"<{uuid4()}@mail.example>"
        for name, value in (headers or {}).items():
            message[name] = value
        message.set_content(text)
        return message.as_bytes()

    return make


@pytest.fixture
def pause(staff):
    """Let staff pause all messages of a member."""

    def restrict(member):
        with acting_as(staff()):
            Restriction.objects.create(
                member=member, kind=RestrictionKind.NO_MESSAGES, until=timezone.now() + timedelta(days=7)
            )

    return restrict


def said_in(thread, reader):
    return [
        message.content for message in open_thread(reader=reader, conversation_id=thread.id, mark_read=False).messages
    ]


def test_a_reply_is_a_message_without_what_it_quotes(write, thread, helper):
    assert receive_mail(write()) is Received.POSTED
    assert said_in(thread, helper)[-1] == "Yes, please."


def test_a_reply_that_is_delivered_again_is_one_message(write, thread, helper):
    raw = write()
    assert [receive_mail(raw), receive_mail(raw), receive_mail(raw + b"\n> more")] == [
        Received.POSTED,
        Received.REPEATED,
        Received.REPEATED,
    ]
    assert said_in(thread, helper).count("Yes, please.") == 1


def test_the_same_words_in_another_mail_are_another_message(write, thread, helper):
    assert {receive_mail(write()), receive_mail(write())} == {Received.POSTED}
    assert said_in(thread, helper).count("Yes, please.") == 2


def test_only_the_members_own_address_may_use_it(write, thread, helper, member):
    """Whoever gets the mail forwarded has the address too, and a name can be claimed by anybody."""
    for sender in (helper.email, member().email, "nobody@example.org", "", "x", "a@b.c, d@e.f", "é@\udce9.org"):
        assert receive_mail(write(sender=sender or "x")) is not Received.POSTED
    assert "Yes, please." not in said_in(thread, helper)
    assert send_waiting() == 0


def test_an_address_is_of_one_member_and_one_conversation(owner, helper, settings):
    key = uuid4()
    address = make_reply_address(owner.pk, key)
    assert len(address.partition("@")[0]) <= 64
    assert find_conversation(address.upper()) == key
    assert is_reply_address_of(address.upper(), owner.pk)
    assert not is_reply_address_of(address, helper.pk)
    other = ("a" if address[40] != "a" else "b").join((address[:40], address[41:]))
    assert not is_reply_address_of(other, owner.pk)
    for wrong in (
        address.replace("in.care", "care"),
        "reply-x@in.care.example",
        "",
        "reply-" + "é" * 48 + "@in.care.example",
    ):
        assert find_conversation(wrong) is None
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another key" * 5
    assert is_reply_address_of(address, owner.pk)
    settings.SECRET_KEY_FALLBACKS = []
    assert not is_reply_address_of(address, owner.pk)


def test_after_thirty_days_the_answer_comes_back(write, owner, thread, monkeypatch, helper):
    later = time.time() + timedelta(days=32).total_seconds()
    monkeypatch.setattr(addresses, "time", SimpleNamespace(time=lambda: later))
    assert receive_mail(write()) is Received.REFUSED
    assert send_waiting() == 1
    assert "valid for thirty days" in mail.outbox[-1].body
    assert "> Yes, please." in mail.outbox[-1].body
    assert "Yes, please." not in said_in(thread, helper)


@pytest.mark.parametrize(
    ("text", "said"),
    [("x" * 1001, "shorten"), (QUOTE.strip(), "found no words of yours"), ("\u200b", "write a message first")],
    ids=["too long", "nothing", "invisible"],
)
def test_what_the_page_would_refuse_comes_back_with_its_text(write, owner, thread, helper, text, said):
    raw = write(text)
    assert receive_mail(raw) is Received.REFUSED
    assert receive_mail(raw) is Received.REPEATED
    assert send_waiting() == 1
    message = mail.outbox[-1]
    assert (message.to, message.subject) == ([owner.email], "Your answer was not delivered")
    assert said in message.body.lower()
    assert "x" * 1001 not in text or "> " + "x" * 1001 in message.body
    assert f"/messages/{thread.id}" in message.body
    # A shorter one may go the same way.
    assert is_reply_address_of(message.reply_to[0], owner.pk)
    assert stored(RefusedReply) == []
    assert receive_mail(raw) is Received.REPEATED
    assert len(said_in(thread, helper)) <= 1


@pytest.mark.parametrize("act", ["close", "block", "blocked", "limit"])
def test_a_reply_is_held_by_the_same_rules_as_the_page(write, owner, helper, thread, settings, act):
    match act:
        case "close":
            close_conversation(actor=helper, conversation_id=thread.id)
        case "block":
            block_member(actor=owner, member_id=helper.pk)
        case "blocked":
            block_member(actor=helper, member_id=owner.pk)
        case "limit":
            settings.MESSAGES_PER_MINUTE = 0
    assert receive_mail(write()) is Received.REFUSED
    assert send_waiting() == 1
    assert "> Yes, please." in mail.outbox[-1].body
    assert "Yes, please." not in said_in(thread, helper)


def test_who_was_shut_out_or_left_posts_nothing(write, owner, helper, thread, staff):
    raw = write()
    type(owner).objects.filter(pk=owner.pk).update(is_active=False)
    assert receive_mail(raw) is Received.UNKNOWN
    type(owner).objects.filter(pk=owner.pk).update(is_active=True)
    erase_for_member(actor=staff(), member_id=owner.pk)
    assert receive_mail(raw) is Received.UNKNOWN


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied (vacation)"},
        {"Precedence": "bulk"},
        {"X-Autoreply": "yes"},
        {"Return-Path": "<>"},
        {"List-Id": "<a.list>"},
    ],
    ids=str,
)
def test_what_a_program_wrote_is_ignored_and_not_answered(write, thread, helper, headers):
    assert receive_mail(write(headers=headers)) is Received.IGNORED
    assert (send_waiting(), len(said_in(thread, helper)) <= 1) == (0, True)


def test_our_own_mail_and_bounces_are_ignored(write, thread):
    assert receive_mail(mail.outbox[0].message().as_bytes()) is Received.IGNORED
    assert receive_mail(write(sender="MAILER-DAEMON@mx.example")) is Received.IGNORED
    report = write().replace(b'text/plain; charset="utf-8"', b"multipart/report")
    assert receive_mail(report) is Received.IGNORED


def test_refusals_cannot_go_round_in_circles(write, thread):
    for _time in range(services.REFUSALS_PER_HOUR):
        assert receive_mail(write("x" * 1001)) is Received.REFUSED
    assert receive_mail(write("x" * 1001)) is Received.IGNORED
    assert OutgoingMail.objects.filter(kind=REPLY_REFUSED).count() == services.REFUSALS_PER_HOUR


@pytest.mark.parametrize("shows_words", [False, True])
def test_who_answers_by_mail_is_mailed_again(write, owner, helper, thread, shows_words):
    update_preferences(
        actor=owner, email_notifications=True, quiet_hours_start=None, quiet_hours_end=None, shows_words=shows_words
    )
    assert receive_mail(write()) is Received.POSTED
    assert ReadPointer.objects.filter(member=owner, conversation_id=thread.id).exists() is shows_words
    send_message(actor=helper, conversation_id=thread.id, content="Thank you.")
    ConversationMail.objects.filter(member=owner).update(mailed_at="2020-01-01T00:00Z")
    mail.outbox.clear()
    queue_waiting()
    send_waiting()
    assert [message.to for message in mail.outbox if message.to == [owner.email]] == [[owner.email]]


def test_an_erasure_takes_the_refused_text_with_it(write, owner, thread, staff):
    receive_mail(write("x" * 1001))
    assert [row.content for row in stored(RefusedReply)] == ["x" * 1001]
    erase_for_member(actor=staff(), member_id=owner.pk)
    assert stored(RefusedReply) == []


def test_nobody_else_reads_a_refused_text(write, owner, helper, thread):
    receive_mail(write("x" * 1001))
    assert not RefusedReply.objects.exists()
    assert len(stored(RefusedReply)) == 1


def test_without_a_domain_no_mail_offers_to_be_answered(settings, helper, owner, groceries, stage):
    settings.REPLY_DOMAIN = ""
    stage("enabled")
    offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    queue_waiting()
    send_waiting()
    assert mail.outbox[0].reply_to == [settings.CONTACT_EMAIL]
    assert "reply to this mail" not in mail.outbox[0].body
    assert f"reaches our staff, and not {helper.name}" in mail.outbox[0].body
    assert make_reply_address(owner.pk, uuid4()) == ""


def test_a_daily_mail_about_one_conversation_takes_a_reply(
    write, owner, helper, thread, member, help_request, settings
):
    receive_mail(write())
    send_message(actor=helper, conversation_id=thread.id, content="Thank you.")
    queue_mail(DAILY_NEWS, owner.pk)
    send_waiting()
    assert "just reply to this mail" in mail.outbox[-1].body
    assert receive_mail(write("At ten.", to=mail.outbox[-1].reply_to[0])) is Received.POSTED
    send_message(actor=helper, conversation_id=thread.id, content="See you then.")
    offer_help(actor=member(), help_request_id=help_request(user=owner).pk, initial_message=OFFER)
    queue_mail(DAILY_NEWS, owner.pk)
    send_waiting()
    assert mail.outbox[-1].reply_to == [settings.CONTACT_EMAIL]
    assert "reaches our staff, and nobody else" in mail.outbox[-1].body


@pytest.mark.parametrize("what", ["frozen", "paused", "blocked", "gone"])
@pytest.mark.parametrize("is_daily", [False, True])
def test_a_mail_offers_no_answer_that_would_be_refused(
    owner, helper, groceries, stage, settings, pause, what, is_daily
):
    stage("disabled" if what == "frozen" else "enabled")
    offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    match what:
        case "frozen":
            stage("enabled")
        case "paused":
            pause(owner)
        case "blocked":
            block_member(actor=helper, member_id=owner.pk)
        case "gone":
            User.objects.filter(pk=helper.pk).update(is_active=False)
    if is_daily:
        queue_mail(DAILY_NEWS, owner.pk)
    else:
        queue_waiting()
    send_waiting()
    (offered,) = mail.outbox
    assert offered.reply_to == [settings.CONTACT_EMAIL]
    assert offered.subject.startswith(f"{helper.name} offers to help")
    assert "You cannot answer in this conversation at the moment." in offered.body
    assert "Read it" in offered.body
    for wrong in ("just reply", "Please answer", "Read and answer"):
        assert wrong not in offered.body


def test_a_mail_that_asks_to_go_on_offers_no_reply(owner, helper, groceries, stage, settings):
    stage("disabled")
    frozen = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    stage("enabled")
    ask_to_continue(actor=owner, conversation_id=frozen.conversation_id)
    queue_waiting()
    send_waiting()
    (asked,) = (message for message in mail.outbox if message.to == [helper.email])
    assert asked.reply_to == [settings.CONTACT_EMAIL]
    assert f"and not {owner.name}" in asked.body


# The command


@pytest.fixture
def run(monkeypatch):
    """Run the command on a mail; return its exit status and what it printed."""

    def call(raw, **options):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("receive_mail", stdout=out, stderr=err, **options)
        except SystemExit as ended:
            return ended.code, err.getvalue()
        return 0, out.getvalue()

    return call


def test_the_command_reads_one_mail(run, write, thread, helper):
    assert run(write()) == (0, "posted\n")
    assert run(write("x" * 1001)) == (0, "refused\n")
    assert run(write(to="care@care.example"), recipient=thread.address) == (0, "posted\n")


def test_the_command_says_to_the_mail_server_what_is_wrong(run, write, thread, settings, monkeypatch):
    status, said = run(write(sender="nobody@example.org"))
    assert (status, "only from the member" in said) == (67, True)
    assert run(b"")[0] == 0  # written by nobody
    monkeypatch.setattr("carecollective.inbox.management.commands.receive_mail.BYTES_MAX", 10)
    assert run(write())[0] == 65
    monkeypatch.undo()


def test_a_database_that_is_away_makes_the_mail_server_try_again(run, write, thread, monkeypatch):
    raw = write()

    def away(*args, **options):
        raise OperationalError("away")

    monkeypatch.setattr(services, "send_message", away)
    assert run(raw)[0] == 75


def test_the_command_is_off_without_a_domain(run, write, settings):
    raw = write()
    settings.REPLY_DOMAIN = ""
    status, said = run(raw)
    assert (status, bool(re.search("REPLY_DOMAIN", said))) == (78, True)
