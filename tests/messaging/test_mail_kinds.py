"""Mail for what members and staff wait for: a decision, the end of a request, people and reports that wait."""

from datetime import timedelta

import pytest
from django.core import mail
from django.db.models import F

from carecollective.accounts.letters.staff import APPLICANTS_MAIL, queue_applicants_waiting
from carecollective.accounts.models import MessagingPreferences, User
from carecollective.accounts.preferences.services import update_preferences
from carecollective.accounts.services import approve_member, reject_member
from carecollective.help_requests.services import cancel_request, complete_request, expire_requests, reopen_request
from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.notifications.requests import queue_expiring, queue_status_changes
from carecollective.inbox.services import offer_help
from carecollective.mail import queue
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from carecollective.moderation.services import report_message, settle_report
from carecollective.moderation.staff_mail import REPORTS_MAIL, queue_reports_waiting
from carecollective.safety.services import block_member
from tests.roles import as_role

pytestmark = pytest.mark.django_db
OFFER = "Hello, I can bring them on Monday."


@pytest.fixture(autouse=True)
def at_once(settings):
    settings.MAIL_DELAY_SECONDS = 0


@pytest.fixture
def applicant(member):
    def make(**fields):
        return member(verification_status="pending", **fields)

    return make


def later(**span):
    """Let time pass for the batches: every mail was queued, and every member joined, that much earlier."""
    with as_role("owner"):
        for model in (OutgoingMail, User):
            model.objects.update(created_at=F("created_at") - timedelta(**span))


def subjects_to(person):
    return [message.subject for message in mail.outbox if message.to == [person.email]]


# Membership


def test_an_approved_member_is_led_to_where_they_wanted_to_go(applicant, staff):
    ada = applicant(name="Ada", wanted_path="/requests/1?offer=1")
    approve_member(actor=staff(), member_id=ada.pk)
    approve_member(actor=staff(), member_id=ada.pk)
    assert send_waiting() == 1
    assert mail.outbox[0].subject == "Welcome to Care Collective"
    assert "Hello Ada," in mail.outbox[0].body
    assert "/requests/1?offer=1" in mail.outbox[0].body


def test_a_rejected_applicant_hears_why_and_how_to_ask(applicant, staff):
    ada = applicant()
    reject_member(actor=staff(), member_id=ada.pk, reason="We serve Springfield only.")
    assert send_waiting() == 1
    assert "> We serve Springfield only." in mail.outbox[0].body
    assert "/contact" in mail.outbox[0].body


def test_a_decision_that_was_changed_meanwhile_is_mailed_as_it_is(applicant, staff):
    ada, sam = applicant(), staff()
    reject_member(actor=sam, member_id=ada.pk, reason="")
    approve_member(actor=sam, member_id=ada.pk)
    assert send_waiting() == 1
    assert subjects_to(ada) == ["Welcome to Care Collective"]


def test_a_decision_that_is_rolled_back_mails_nobody(applicant, member):
    with pytest.raises(Exception, match="permission_denied"):
        approve_member(actor=member(), member_id=applicant().pk)
    assert not OutgoingMail.objects.exists()


# Requests


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
@pytest.mark.parametrize(("change", "subject"), [(complete_request, "Completed"), (cancel_request, "No longer needed")])
def test_helpers_hear_that_a_request_is_over(stage, stage_name, helper, owner, groceries, member, change, subject):
    stage(stage_name, v1_writes=True)
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    member()  # who has no conversation about it hears nothing
    change(actor=owner, help_request_id=groceries.pk)
    assert (queue_status_changes(), queue_status_changes(), send_waiting()) == (1, 0, 1)
    assert subjects_to(helper) == [f"{subject}: {groceries.title}"]
    assert f"/messages/{started.conversation_id}#latest" in mail.outbox[0].body
    assert owner.name in mail.outbox[0].body


def test_a_helper_is_not_sent_to_settle_things_in_a_frozen_thread(stage, helper, owner, groceries):
    stage("disabled")
    offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    complete_request(actor=owner, help_request_id=groceries.pk)
    queue_status_changes()
    stage("enabled")
    send_waiting()
    assert subjects_to(helper) == [f"Completed: {groceries.title}"]
    assert "settle it in your conversation" not in mail.outbox[-1].body
    assert "You need do nothing more." in mail.outbox[-1].body


def test_what_is_opened_again_at_once_is_mailed_to_nobody(stage, helper, owner, groceries, settings):
    stage("enabled")
    offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    settings.MAIL_DELAY_SECONDS = 300
    complete_request(actor=owner, help_request_id=groceries.pk)
    assert queue_status_changes() == 0
    settings.MAIL_DELAY_SECONDS = 0
    queue_status_changes()
    reopen_request(actor=owner, help_request_id=groceries.pk)
    assert (send_waiting(), mail.outbox) == (0, [])


@pytest.mark.parametrize("act", ["close", "block"])
def test_who_is_out_of_the_conversation_hears_nothing(stage, helper, owner, groceries, act):
    stage("enabled")
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    if act == "close":
        close_conversation(actor=helper, conversation_id=started.conversation_id)
    else:
        block_member(actor=owner, member_id=helper.pk)
    complete_request(actor=owner, help_request_id=groceries.pk)
    queue_status_changes()
    assert (send_waiting(), mail.outbox) == (0, [])


def test_who_wants_no_news_of_requests_gets_none(stage, helper, owner, groceries):
    stage("enabled")
    offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    update_preferences(
        actor=helper,
        email_notifications=True,
        quiet_hours_start=None,
        quiet_hours_end=None,
        mail_about_requests=False,
    )
    complete_request(actor=owner, help_request_id=groceries.pk)
    queue_status_changes()
    assert (send_waiting(), mail.outbox) == (0, [])


def test_an_owner_hears_once_that_a_request_ends_soon(owner, groceries, beyond_policies):
    with beyond_policies() as cursor:
        cursor.execute("UPDATE help_requests SET created_at = created_at - interval '20 days'")
        for days, due in ((4, 0), (2, 1), (2, 0)):
            cursor.execute(
                "UPDATE help_requests SET expires_at = clock_timestamp() + make_interval(days => %s)", [days]
            )
            assert queue_expiring() == due
            assert send_waiting() == due
    assert subjects_to(owner) == [f"Your request ends soon: {groceries.title}"]


def test_an_owner_hears_that_it_ended_and_asks_again_with_one_click(owner, groceries, beyond_policies, signed_in):
    with beyond_policies() as cursor:
        cursor.execute("UPDATE help_requests SET expires_at = clock_timestamp() - interval '1 min'")
    assert expire_requests() == 1
    assert (queue_status_changes(), send_waiting()) == (1, 1)
    assert subjects_to(owner) == [f"Your request has ended: {groceries.title}"]
    assert f"Ask again:\nhttp://127.0.0.1:8000/requests/{groceries.pk}#manage" in mail.outbox[0].body
    assert "Ask again</button>" in signed_in(owner).get(f"/requests/{groceries.pk}").content.decode()


# Staff


def test_staff_hear_of_applicants_at_most_once_an_hour(applicant, staff):
    sam = staff()
    assert queue_applicants_waiting() == 0
    applicant()
    for minutes, due in ((0, 1), (0, 0), (30, 0), (31, 0)):
        later(minutes=minutes)
        assert (queue_applicants_waiting(), send_waiting()) == (due, due)
    applicant()
    assert (queue_applicants_waiting(), send_waiting()) == (1, 1)
    assert subjects_to(sam) == ["1 person waits to join", "2 people wait to join"]
    later(hours=25)
    assert (queue_applicants_waiting(), send_waiting()) == (1, 1)


def test_staff_hear_nothing_of_who_was_decided_on_meanwhile(applicant, staff):
    ada, sam = applicant(), staff()
    queue_applicants_waiting()
    approve_member(actor=sam, member_id=ada.pk)
    assert send_waiting() == 1
    assert subjects_to(sam) == []


def test_staff_hear_of_reports_and_not_of_what_was_said(stage, helper, owner, groceries, staff):
    stage("enabled")
    sam = staff()
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    assert queue_reports_waiting() == 0
    report = report_message(
        actor=owner, conversation_id=started.conversation_id, message_id=None, reason="scam", words="He wants money"
    )
    assert queue_reports_waiting() == 1
    send_waiting()
    assert subjects_to(sam) == ["1 report waits"]
    assert "money" not in mail.outbox[0].body
    assert "Monday" not in mail.outbox[0].body
    settle_report(actor=sam, report_id=report.pk, outcome="dismissed")
    later(days=2)
    assert queue_reports_waiting() == 0


@pytest.fixture
def waiting(applicant, stage, helper, owner, groceries):
    """Let somebody wait to join, and a report for staff."""
    stage("enabled")
    applicant()
    started = offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    report_message(actor=owner, conversation_id=started.conversation_id, message_id=None, reason="scam", words="")


def tell_staff():
    queue_applicants_waiting()
    queue_reports_waiting()
    send_waiting()


@pytest.mark.parametrize(
    ("column", "left"),
    [("mail_about_applicants", "1 report waits"), ("mail_about_reports", "1 person waits to join")],
)
def test_each_member_of_staff_chooses(waiting, staff, column, left):
    sam = staff()
    staff(is_active=False)
    MessagingPreferences.objects.filter(user=sam).update(**{column: False})
    tell_staff()
    assert [message.subject for message in mail.outbox] == subjects_to(sam) == [left]


def test_who_is_no_longer_staff_is_told_nothing(waiting, staff):
    sam = staff()
    for kind in (APPLICANTS_MAIL, REPORTS_MAIL):
        queue.queue_mail(kind, sam.pk)
    User.objects.filter(pk=sam.pk).update(is_staff=False)
    assert (send_waiting(), mail.outbox) == (0, [])
