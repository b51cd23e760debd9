"""The staff home and the count in the header: what waits for whom, since when, and where it is done."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError
from django.db.models import F
from django.test import Client

from carecollective.accounts.models import User
from carecollective.accounts.services import approve_member
from carecollective.contact.models import ContactMessage
from carecollective.contact.services import mark_answered
from carecollective.core.errors import NotPermitted
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.services import offer_help
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import put_aside, queue_mail
from carecollective.moderation.services import report_message, settle_report
from carecollective.staff import context
from carecollective.staff.selectors import list_unanswered, read_unanswered
from carecollective.staff.waiting import staff_waiting
from rollout.dashboard.summary import describe_rollout
from tests.pages.test_accounts import form_at
from tests.roles import as_role

pytestmark = pytest.mark.django_db
OFFER = "Hello, I can bring them on Monday."
NOTHING = "Nothing waits."
# The session, who it is, and their unread messages.
FOR_ANY_MEMBER = 5


def kinds(member):
    return {line.kind: line.count for line in staff_waiting(member)}


def header(client, address="/help"):
    """Return the number beside the link to the staff home; None where a page has no such link."""
    page = client.get(address).content.decode()
    if 'href="/admin/"' not in page:
        return None
    found = re.search(r"<span data-waiting>([^<]*)</span>", page)
    return found[1] if found else ""


def grow_older(**span):
    with as_role("owner"):
        HelpRequest.objects.update(created_at=F("created_at") - timedelta(**span))


@pytest.fixture
def sam(staff):
    """A member of staff who may not see the rollout."""
    return staff(name="Sam", is_superuser=False, email="sam@example.org")


@pytest.fixture
def waits(sam, member, help_request, stage, alert):
    """One of each that waits: the request is unanswered, the report is about an offer to another."""
    stage("enabled")
    help_request(title="Nobody has offered")
    grow_older(days=2)
    applicant = member(name="Ada", verification_status="pending")
    other = help_request()
    offered = offer_help(actor=member(), help_request_id=other.pk, initial_message=OFFER)
    report = report_message(
        actor=other.user, conversation_id=offered.conversation_id, message_id=None, reason="scam", words=""
    )
    visitor = Client()
    fields = {"name": "Zoë", "email": "zoe@example.org", "text": "I cannot sign in."}
    visitor.post("/contact", form_at(visitor, "/contact") | fields)
    OutgoingMail.objects.all().delete()
    queue_mail("membership_approved", applicant.pk)
    OutgoingMail.objects.update(state="dead", settled_at=F("created_at"), error="refused")
    alert("Something is up.", kind="slow_call")
    return applicant, report


EVERYTHING = {"alerts": 1, "reports": 1, "applicants": 1, "messages": 1, "requests": 1, "mail": 1}


def test_the_home_lists_what_waits_with_its_age_and_one_link(waits, staff, signed_in):
    boss = staff()
    assert kinds(boss) == EVERYTHING
    client = signed_in(boss)
    page = client.get("/admin/").content.decode()
    for line in staff_waiting(boss):
        assert line.words in page
        assert page.count(f'href="{line.path.replace("&", "&amp;")}"') >= 1
        assert client.get(line.path).status_code == 200
    assert "Came 2\xa0days ago" in page
    assert "In V2: everybody" in page
    assert 'href="/admin/rollout/"' in page
    assert NOTHING not in page
    assert "Nobody has offered" in client.get("/admin/unanswered/").content.decode()


def test_what_staff_may_not_see_is_not_counted_for_them(waits, sam, signed_in):
    assert kinds(sam) == {kind: 1 for kind in EVERYTHING if kind != "alerts"}
    client = signed_in(sam)
    assert header(client) == "5"
    page = client.get("/admin/").content.decode()
    assert "alert" not in re.sub(r"<(script|link)[^>]*>", "", page)
    assert "In V2" not in page


def test_what_is_done_waits_no_more(waits, sam, signed_in):
    applicant, report = waits
    approve_member(actor=sam, member_id=applicant.pk)
    settle_report(actor=sam, report_id=report.pk, outcome="dismissed")
    client = signed_in(sam)
    with as_role("ops"):
        messages = list(ContactMessage.objects.values_list("pk", flat=True))
    mark_answered(actor=sam, message_ids=messages)
    dead = [str(mail.pk) for mail in OutgoingMail.objects.filter(state="dead")]
    client.post("/admin/mail/outgoingmail/", {"action": "put_aside", "_selected_action": dead})
    assert kinds(sam) == {"requests": 1}
    (unanswered,) = list_unanswered(reader=sam)
    applicant.refresh_from_db()
    offer_help(actor=applicant, help_request_id=unanswered.pk, initial_message=OFFER)
    assert staff_waiting(sam) == []
    page = client.get("/admin/").content.decode()
    assert NOTHING in page
    assert header(client) == ""


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_a_request_waits_after_a_day_without_an_offer(stage, stage_name, sam, member, help_request):
    stage(stage_name, v1_writes=True)
    request = help_request()
    assert read_unanswered(reader=sam).count == 0
    grow_older(days=1)
    assert [one.pk for one in list_unanswered(reader=sam)] == [request.pk]
    offer_help(actor=member(), help_request_id=request.pk, initial_message=OFFER)
    assert read_unanswered(reader=sam).count == 0


def test_a_request_of_a_closed_account_waits_for_nobody(sam, help_request):
    request = help_request()
    grow_older(days=2)
    User.objects.filter(pk=request.user_id).update(is_active=False)
    assert read_unanswered(reader=sam).count == 0
    assert list_unanswered(reader=sam) == []
    User.objects.filter(pk=request.user_id).update(is_active=True)
    assert read_unanswered(reader=sam).count == 1


def test_a_legacy_offer_that_never_arrived_is_no_answer(sam, member, help_request, legacy_conversation):
    request = help_request()
    grow_older(days=2)
    legacy_conversation(request, member(), request.user)
    assert read_unanswered(reader=sam).count == 1


def test_only_staff_read_which_requests_nobody_has_answered(member, sam):
    for reader in (member(), member(is_staff=True, is_active=False)):
        with pytest.raises(NotPermitted):
            read_unanswered(reader=reader)
        assert staff_waiting(reader) == []


def test_members_see_no_count_and_their_pages_ask_nothing_more(waits, member, signed_in, queries):
    client = signed_in(member())
    assert header(client) is None
    with queries() as asked:
        client.get("/help")
    assert len(asked) == FOR_ANY_MEMBER, asked
    assert header(Client()) is None


def test_the_count_costs_staff_one_statement(waits, sam, staff, signed_in, queries):
    for member in (sam, staff()):
        client = signed_in(member)
        with queries() as asked:
            client.get("/help")
        # One that counts all kinds, and one that says who asks.
        assert len(asked) == FOR_ANY_MEMBER + 2, asked


def test_without_the_required_second_factor_nothing_is_counted(waits, sam, signed_in, settings, queries):
    settings.STAFF_MFA = "required"
    client = signed_in(sam)
    with queries() as asked:
        assert header(client) == ""
    assert len(asked) == FOR_ANY_MEMBER, asked
    assert client.get("/admin/").status_code == 302


def test_a_database_that_fails_meanwhile_costs_only_the_count(waits, sam, signed_in, monkeypatch):
    def away(member):
        raise OperationalError("gone")

    monkeypatch.setattr(context, "list_waiting", away)
    assert header(signed_in(sam)) == ""


def test_more_than_99_are_shown_as_99_and_more(sam, member, signed_in):
    for number in range(100):
        member(verification_status="pending", name=f"Applicant {number}")
    assert header(signed_in(sam)) == "99+"


def test_the_rollout_in_one_line_says_what_waits_for_a_decision(stage):
    stage("disabled")
    assert describe_rollout() == "In V2: nobody."
    stage("percentage:10")
    assert describe_rollout() == "In V2: staff, testers and 10% of members."


def test_mail_that_waits_to_be_tried_again_is_not_put_aside(member):
    queue_mail("membership_approved", member().pk)
    (mail,) = OutgoingMail.objects.all()
    assert put_aside([mail.pk]) == []
    OutgoingMail.objects.update(state="dead")
    assert put_aside([mail.pk]) == [mail]
    assert OutgoingMail.objects.get().state == "skipped"


def test_mail_that_is_not_put_aside_or_tried_is_not_logged_so(member, staff, signed_in):
    ada = member()
    queue_mail("membership_approved", ada.pk)
    OutgoingMail.objects.update(state="dead", error="refused")
    (dead,) = OutgoingMail.objects.all()
    queue_mail("membership_approved", ada.pk)
    waiting = OutgoingMail.objects.exclude(pk=dead.pk).get()
    OutgoingMail.objects.filter(pk=waiting.pk).update(error="later")
    client = signed_in(staff())
    for action, mail in [("put_aside", waiting), ("try_again", dead)]:
        client.post("/admin/mail/outgoingmail/", {"action": action, "_selected_action": [mail.pk]})
        assert not LogEntry.objects.filter(object_id=str(mail.pk)).exists(), action
