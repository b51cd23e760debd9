"""Reporting a message, and how little of a conversation staff see of it."""

from uuid import uuid4

import psycopg
import pytest
from django.contrib import admin
from django.db import DatabaseError, connection, transaction

from carecollective.core.database import acting_as
from carecollective.core.errors import NotPermitted, ValidationRefused
from carecollective.inbox.selectors import open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from carecollective.moderation import selectors, services
from carecollective.moderation.models import Report, ReportAccess
from tests.privacy.stored import reread, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob(member):
    return member(name="Bob")


@pytest.fixture
def ada(member):
    return member(name="Ada")


@pytest.fixture
def conversation(ada, bob, help_request, stage):
    """Bob's offer on Ada's request, and sixteen messages by both in turn."""
    stage("enabled", v1_writes=True)
    started = offer_help(
        actor=bob, help_request_id=help_request(user=ada).pk, initial_message="Bob opens the conversation."
    )
    for number in range(16):
        send_message(
            actor=(ada, bob)[number % 2], conversation_id=started.conversation_id, content=f"Sentence {number}."
        )
    return started.conversation_id


def messages(reader, conversation_id):
    return open_thread(reader=reader, conversation_id=conversation_id, mark_read=False).messages


def report(actor, conversation_id, message_id=None, **given):
    values = {"reason": "harassment", "words": "This frightens me."} | given
    return services.report_message(actor=actor, conversation_id=conversation_id, message_id=message_id, **values)


def reveal(reader, report_id):
    """Reveal a reported message as staff do, and return it with the messages around it."""
    access = services.reveal_report(actor=reader, report_id=report_id)
    return selectors.list_revealed_messages(reader=reader, report_id=report_id, access=access)


def test_a_participant_reports_a_message_from_the_thread(ada, conversation, signed_in):
    client = signed_in(ada)
    theirs = messages(ada, conversation)[9]
    thread = client.get(f"/messages/{conversation}").content.decode()
    address = f"/messages/{conversation}/report"
    assert thread.count(f'href="{address}') == 9
    assert f'href="{address}?message={theirs.id}"' in thread
    assert "Sentence 9." in client.get(f"{address}?message={theirs.id}").content.decode()
    response = client.post(address, {"message": theirs.id, "reason": "spam", "words": "Look\r\nhere"})
    assert response["Location"] == f"/messages/{conversation}?reported=1"
    assert "Staff will look" in client.get(response["Location"]).content.decode()
    (found,) = stored(Report)
    assert (found.message_id, found.reason, found.words, found.version) == (theirs.id, "spam", "Look\nhere", "v2")


def test_what_was_typed_stays_when_the_reason_is_missing(ada, conversation, signed_in):
    response = signed_in(ada).post(f"/messages/{conversation}/report", {"words": "I typed this."})
    assert response.status_code == 400
    assert "I typed this." in response.content.decode()
    assert not stored(Report)


@pytest.mark.parametrize(
    "given", [{"reason": "rude"}, {"reason": None}, {"words": "\0"}, {"words": "x" * 1001}, {"words": 7}]
)
def test_a_report_that_cannot_be_taken_is_refused(ada, conversation, given):
    with pytest.raises(ValidationRefused):
        report(ada, conversation, **given)
    assert not stored(Report)


def test_participants_report_only_messages_of_the_other(ada, bob, conversation, member, help_request):
    with pytest.raises(ConversationNotFound):
        report(member(), conversation)
    with pytest.raises(ConversationNotFound):
        report(ada, uuid4())
    with pytest.raises(MessageNotFound):
        report(ada, conversation, uuid4())
    other = offer_help(actor=bob, help_request_id=help_request().pk, initial_message="Somewhere else entirely.")
    with pytest.raises(MessageNotFound):
        report(ada, conversation, other.conversation_id)
    with pytest.raises(selectors.OwnMessage):
        report(ada, conversation, messages(ada, conversation)[0].id)
    with pytest.raises(selectors.OwnMessage):
        report(bob, conversation)
    assert not stored(Report)


def test_reporting_twice_is_once(ada, conversation):
    assert report(ada, conversation) == report(ada, conversation, reason="spam")
    assert [found.reason for found in stored(Report)] == ["harassment"]


def test_a_legacy_message_can_be_reported_unless_taken_down(ada, bob, help_request, legacy_conversation, signed_in):
    legacy = legacy_conversation(help_request(user=ada), bob, [(bob, "An old sentence.")])
    found = report(ada, legacy, messages(ada, legacy)[0].id)
    assert (found.version, found.author_id) == ("v1", bob.pk)
    with pytest.raises(MessageNotFound):
        report(ada, legacy)
    hidden = legacy_conversation(help_request(user=ada), bob, [(bob, "Hidden.")], moderation_status="hidden")
    with pytest.raises(MessageNotFound):
        report(ada, hidden, messages(ada, hidden)[0].id)


def test_staff_see_five_messages_around_and_access_is_recorded(ada, conversation, staff, signed_in):
    reported = report(ada, conversation, messages(ada, conversation)[9].id)
    helper = staff(name="Sana", is_superuser=False)
    client = signed_in(helper)
    listed = client.get("/admin/moderation/report/").content.decode()
    assert "Bob" in listed
    assert "Sentence" not in listed
    address = f"/admin/moderation/report/{reported.pk}/change/"
    page = client.get(address).content.decode()
    assert "This frightens me." in page
    assert "Sentence" not in page
    assert not stored(ReportAccess)
    for accesses in (1, 2):
        shown = client.post(address, {"show": "Show the message"})
        assert shown.status_code == 302
        # A reload is the same access.
        for _load in range(2):
            page = client.get(shown["Location"]).content.decode()
            assert [number for number in range(16) if f"Sentence {number}." in page] == list(range(4, 15))
            assert page.count("Sana") >= accesses
            assert [(access.report_id, access.staff_id) for access in stored(ReportAccess)] == [
                (reported.pk, helper.pk)
            ] * accesses


def test_an_access_shows_the_message_to_its_reader_for_ten_minutes(
    ada, conversation, staff, signed_in, beyond_policies
):
    reported, other = report(ada, conversation), report(ada, conversation, messages(ada, conversation)[9].id)
    sana, zoe = staff(name="Sana"), staff(name="Zoe")
    access = services.reveal_report(actor=sana, report_id=reported.pk)

    def is_shown(reader, about, asked):
        page = signed_in(reader).get(f"/admin/moderation/report/{about.pk}/change/?look={asked}").content.decode()
        assert ("Show the message" in page) != ("Bob opens the conversation." in page)
        return "Bob opens the conversation." in page

    assert is_shown(sana, reported, access)
    assert not is_shown(zoe, reported, access)
    assert not is_shown(sana, other, access)
    for odd in ("", "0", "x", access + 1, "٣", "9" * 18, "9" * 40):
        assert not is_shown(sana, reported, odd)
    for minutes, seen in ((9, True), (11, False)):
        with beyond_policies() as cursor:
            cursor.execute("UPDATE moderation_look SET at = clock_timestamp() - make_interval(mins => %s)", [minutes])
        assert is_shown(sana, reported, access) is seen
    assert len(stored(ReportAccess)) == 1


def test_no_access_is_recorded_for_a_message_that_is_gone(
    ada, bob, conversation, staff, signed_in, beyond_policies, help_request, legacy_conversation
):
    legacy = legacy_conversation(help_request(user=ada), bob, [(bob, "An old sentence.")])
    reported = report(ada, legacy, messages(ada, legacy)[0].id)
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM messages WHERE content = 'An old sentence.'")
    address = f"/admin/moderation/report/{reported.pk}/change/"
    assert signed_in(staff()).post(address, {"show": "1"}).status_code == 404
    assert not stored(ReportAccess)


def test_the_list_shows_waiting_reports_first_in_pages(ada, bob, conversation, staff, signed_in, monkeypatch):
    monkeypatch.setattr(selectors, "REPORTS_PER_PAGE", 2)
    bobs = [message for message in messages(ada, conversation) if message.sender_id == bob.pk]
    first, second, third, fourth, fifth = (report(ada, conversation, message.id).pk for message in bobs[:5])
    reader = staff()
    services.settle_report(actor=reader, report_id=fifth, outcome="dismissed")

    def page(number):
        found = selectors.list_reports(reader=reader, page=number)
        return [report.id for report in found.reports], found.previous, found.next

    assert page(1) == ([fourth, third], None, 2)
    assert page(2) == ([second, first], 1, 3)
    assert page(3) == ([fifth], 2, None)
    assert page(4) == ([], 3, None)
    assert selectors.find_report(reader=reader, report_id=fifth).status == "Dismissed"

    client = signed_in(reader)
    listed = client.get("/admin/moderation/report/?page=2").content.decode()
    assert str(second) in listed
    assert "?page=1" in listed
    assert "?page=3" in listed
    for odd in ("0", "-1", "x", "٣", "9" * 40, ""):
        assert str(fourth) in client.get("/admin/moderation/report/", {"page": odd}).content.decode()


def test_a_reported_first_message_is_shown_with_the_next_five(ada, conversation, staff):
    found = reveal(staff(), report(ada, conversation).pk)
    assert [message.place for message in found] == [0, 1, 2, 3, 4, 5]
    assert found[0].content == "Bob opens the conversation."


def test_the_legacy_systems_reports_are_shown_and_never_changed(
    ada, bob, help_request, legacy_tables, legacy_conversation, beyond_policies, staff, signed_in
):
    legacy = legacy_conversation(help_request(user=ada), bob, [(bob, "An old sentence."), (ada, "An answer.")])
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO message_reports (message_id, reported_by, reason, description) VALUES (%s, %s, 'scam', 'He wants money')"
            " RETURNING id",
            [messages(ada, legacy)[0].id, ada.pk],
        )
        key = cursor.fetchone()[0]
        cursor.execute("SELECT md5(string_agg(t::text, '')) FROM message_reports t")
        before = cursor.fetchone()
    client = signed_in(staff())
    assert "former site" in client.get("/admin/moderation/report/").content.decode()
    address = f"/admin/moderation/report/{key}/change/"
    assert "He wants money" in client.get(address).content.decode()
    assert "An old sentence." in client.post(address, {"show": "1"}, follow=True).content.decode()
    assert client.post(address, {"settle": "1", "outcome": "dismissed"}).status_code == 404
    with beyond_policies() as cursor:
        cursor.execute("SELECT md5(string_agg(t::text, '')) FROM message_reports t")
        assert cursor.fetchone() == before
    assert [access.is_legacy for access in stored(ReportAccess)] == [True]


def test_what_the_legacy_system_wrote_is_nobodys_words(
    ada, bob, help_request, legacy_tables, legacy_conversation, beyond_policies, staff, signed_in
):
    legacy = legacy_conversation(help_request(user=ada), bob, [(bob, "I can help."), (bob, "Marked completed.")])
    with beyond_policies() as cursor:
        cursor.execute(
            "UPDATE messages SET message_type = 'system' WHERE content = 'Marked completed.' RETURNING id",
        )
        cursor.execute(
            "INSERT INTO message_reports (message_id, reported_by, reason) VALUES (%s, %s, 'spam') RETURNING id",
            [cursor.fetchone()[0], ada.pk],
        )
        about_the_system = cursor.fetchone()[0]
    reader = staff()
    about_bob = report(ada, legacy, messages(ada, legacy)[0].id)
    for report_id, author in ((about_the_system, "Care Collective"), (about_bob.pk, "Bob")):
        shown = reveal(reader, report_id)
        assert [(message.author, message.content) for message in shown] == [
            ("Bob", "I can help."),
            ("Care Collective", "Marked completed."),
        ]
        assert selectors.find_report(reader=reader, report_id=report_id).author == author
    listed = signed_in(reader).get("/admin/moderation/report/").content.decode()
    assert listed.count("<td>Care Collective</td>") == 1


def test_settling_says_who_and_when(ada, conversation, staff, signed_in):
    reported = report(ada, conversation)
    client = signed_in(staff(name="Sana"))
    response = client.post(
        f"/admin/moderation/report/{reported.pk}/change/", {"settle": "1", "outcome": "action_taken"}
    )
    assert response["Location"] == "/admin/moderation/report/"
    reread(reported)
    assert (reported.status, reported.settled_by.name) == ("action_taken", "Sana")
    assert reported.settled_at
    with pytest.raises(ValidationRefused):
        services.settle_report(actor=reported.settled_by, report_id=reported.pk, outcome="burned")


@pytest.mark.parametrize("outcome", ["pending", "dismissed"])
def test_what_is_settled_stays_so_by_whom_it_was(ada, conversation, staff, signed_in, outcome):
    reported, sana = report(ada, conversation), staff(name="Sana")
    with pytest.raises(ValidationRefused):
        services.settle_report(actor=sana, report_id=reported.pk, outcome="pending")
    services.settle_report(actor=sana, report_id=reported.pk, outcome="action_taken")
    client, address = signed_in(staff(name="Zoe")), f"/admin/moderation/report/{reported.pk}/change/"
    assert "Settle it" not in client.get(address).content.decode()
    client.post(address, {"settle": "1", "outcome": outcome})
    reread(reported)
    assert (reported.status, reported.settled_by) == ("action_taken", sana)
    with pytest.raises(services.AlreadySettled):
        services.settle_report(actor=sana, report_id=reported.pk, outcome="dismissed")


def test_nobody_settles_a_report_about_themselves(ada, bob, conversation, staff):
    reported = report(ada, conversation)
    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    with pytest.raises(NotPermitted):
        services.settle_report(actor=bob, report_id=reported.pk, outcome="dismissed")
    reread(reported)
    assert reported.settled_by is None


def test_members_see_no_report_in_the_admin_or_past_it(ada, bob, conversation, signed_in):
    reported = report(ada, conversation)
    for address in ("/admin/moderation/report/", f"/admin/moderation/report/{reported.pk}/change/"):
        assert signed_in(bob).get(address).status_code == 302
    for refused in (
        lambda: selectors.list_reports(reader=bob),
        lambda: services.reveal_report(actor=bob, report_id=reported.pk),
        lambda: selectors.list_revealed_messages(reader=bob, report_id=reported.pk, access=1),
        lambda: services.settle_report(actor=bob, report_id=reported.pk, outcome="dismissed"),
    ):
        with pytest.raises(NotPermitted):
            refused()
    for statement in (
        "SELECT moderation_note_look(%s)",
        "SELECT * FROM moderation_show(%s, 1)",
        "SELECT * FROM moderation_legacy_reports() WHERE id = %s",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), acting_as(bob), connection.cursor() as cursor:
            cursor.execute(statement, [reported.pk])
    assert not stored(ReportAccess)


def test_what_nobody_reported_staff_cannot_read(conversation, staff, signed_in, connect_as):
    client = signed_in(staff())
    for address in (f"/admin/moderation/report/{conversation}/change/", "/admin/moderation/report/x/change/"):
        assert client.get(address).status_code == 404
        assert client.post(address, {"show": "1"}).status_code == 404
    assert client.get(f"/messages/{conversation}").status_code == 404
    shown = {model._meta.label for model in admin.site._registry}
    assert not [label for label in shown if label.startswith(("messaging_v1", "messaging_v2", "inbox", "privacy"))]
    assert not stored(ReportAccess)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect_as("web").execute(
            "INSERT INTO moderation_look (report_id, is_legacy, staff_id) SELECT id, false, id FROM profiles"
        )
