"""What staff do after a report takes effect at once, in both messagings, is told to both sides, and can be undone."""

from datetime import timedelta

import pytest
from django.core import mail
from django.db import DatabaseError

from carecollective.accounts.models import MailPace, User
from carecollective.accounts.preferences.services import update_preferences
from carecollective.core.database import acting_as
from carecollective.core.errors import NotPermitted, ValidationRefused
from carecollective.inbox.notifications.queue import queue_waiting
from carecollective.inbox.notifications.unread import read_news
from carecollective.inbox.selectors import list_conversations, messages_after, open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.mail.delivery import send_waiting
from carecollective.messaging.errors import MessageNotFound
from carecollective.moderation import acts
from carecollective.moderation.models import Act, Report
from carecollective.moderation.selectors import get_reportable_message, list_notices
from carecollective.moderation.services import report_member, report_message, settle_report
from carecollective.safety.errors import DailyLimitReached, Restricted
from carecollective.safety.services import block_member
from messaging_v2.services import get_conversation_v2
from tests.messaging.refusals import nothing_written, refused
from tests.safety.conftest import VERSIONS
from tests.safety.test_blocking import OFFER, execute_as
from tests.safety.test_closing import insert_message

pytestmark = pytest.mark.django_db
API = "/api/messaging/conversations"
PLACEHOLDER = "This message was removed by a moderator."


@pytest.fixture
def moderator(db, staff):
    return staff(name="Stella", is_superuser=False)


@pytest.fixture
def reported(talk, helper, owner):
    """A rude message of the helper's in a conversation of the version, and its report by the owner."""

    def make(version):
        key = talk(version)
        rude = send_message(actor=helper, conversation_id=key, content="Rude words.").message.id
        return (
            key,
            rude,
            report_message(actor=owner, conversation_id=key, message_id=rude, reason="harassment", words="It hurts"),
        )

    return make


def act(moderator, report, choice, **given):
    given = {"reason": "As the report says", "words": "Please be kind."} | given
    return acts.act_on_report(actor=moderator, report_id=report.pk, choice=choice, **given)


@VERSIONS
def test_a_hidden_message_is_a_placeholder_until_restored(reported, moderator, helper, owner, version, rows_of):
    key, rude, report = reported(version)
    before = rows_of("SELECT * FROM messages ORDER BY id"), rows_of("SELECT * FROM messages_v2 ORDER BY id")
    done = act(moderator, report, "hide")
    for reader in (helper, owner):
        shown = open_thread(reader=reader, conversation_id=key, mark_read=False).shown
        assert [(one.content, one.is_withheld) for one in shown if one.id == rude] == [(PLACEHOLDER, True)]
        polled = messages_after(reader=reader, conversation_id=key, after=None).messages
        assert [one.content for one in polled if one.id == rude] == [PLACEHOLDER]
        last = list_conversations(reader=reader).rows[0].last_message
        assert getattr(last, "content", "") == PLACEHOLDER
    with pytest.raises(MessageNotFound):
        get_reportable_message(reader=owner, conversation_id=key, message_id=rude)
    acts.undo_act(actor=moderator, act_id=done.pk, reason="It was a joke")
    shown = open_thread(reader=owner, conversation_id=key, mark_read=False).shown
    assert "Rude words." in [one.content for one in shown]
    assert (rows_of("SELECT * FROM messages ORDER BY id"), rows_of("SELECT * FROM messages_v2 ORDER BY id")) == before


def test_the_first_message_of_a_v2_conversation_is_hidden_too(talk, moderator, owner, api_client):
    key = talk("v2")
    report = report_message(actor=owner, conversation_id=key, message_id=None, reason="spam", words="")
    act(moderator, report, "hide")
    assert api_client(owner).get(f"{API}/{key}").json()["conversation"]["initial_message"] == PLACEHOLDER
    last = list_conversations(reader=owner).rows[0].last_message
    assert getattr(last, "content", "") == PLACEHOLDER


@VERSIONS
def test_a_restriction_of_all_writing_holds_everywhere(
    reported, moderator, helper, owner, help_request, signed_in, api_client, version, rows_of
):
    key, _rude, report = reported(version)
    another = help_request(user=owner)
    done = act(moderator, report, "no_messages", days=7)
    with refused(Restricted, "permission_denied", 403) as refusal:
        send_message(actor=helper, conversation_id=key, content="Hello?")
    assert "paused until" in str(refusal.value.message)
    with refused(Restricted, "permission_denied", 403):
        offer_help(actor=helper, help_request_id=another.pk, initial_message=OFFER)
    answer = signed_in(helper).post(f"/messages/{key}", {"message": "My long words"})
    assert answer.status_code == 403
    assert "My long words" in answer.content.decode()
    answer = api_client(helper).post(f"{API}/{key}/messages", {"content": "Hello?"}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    with nothing_written(), pytest.raises(DatabaseError, match="row-level security"):
        insert_message(version, key, helper, owner)
    page = signed_in(helper).get(f"/messages/{key}").content.decode()
    assert "Your messages are paused until" in page
    assert 'name="message"' not in page
    assert "Your messages are paused" not in signed_in(owner).get(f"/messages/{key}").content.decode()
    acts.undo_act(actor=moderator, act_id=done.pk, reason="Enough")
    assert 'name="message"' in signed_in(helper).get(f"/messages/{key}").content.decode()
    assert send_message(actor=helper, conversation_id=key, content="Sorry.").is_new


@VERSIONS
def test_a_restriction_of_offers_leaves_conversations(reported, moderator, helper, owner, help_request, version):
    key, _rude, report = reported(version)
    another = help_request(user=owner)
    act(moderator, report, "no_offers", days=1)
    with refused(Restricted, "permission_denied", 403):
        offer_help(actor=helper, help_request_id=another.pk, initial_message=OFFER)
    for table, columns in (
        ("conversations_v2", "id, help_request_id, requester_id, helper_id, initial_message"),
        ("conversations", "id, help_request_id, created_by, status"),
    ):
        values = {
            "conversations_v2": f"'{another.pk}', '{owner.pk}', '{helper.pk}', 'Hello, it is me.'",
            "conversations": f"'{another.pk}', '{helper.pk}', 'active'",
        }[table]
        with pytest.raises(DatabaseError, match="row-level security"):
            execute_as(helper, f"INSERT INTO {table} ({columns}) VALUES (gen_random_uuid(), {values})")
    assert send_message(actor=helper, conversation_id=key, content="Hello.").is_new


def offer_page(client, request, **sent):
    page = client.post(f"/requests/{request.pk}", sent) if sent else client.get(f"/requests/{request.pk}?offer=1")
    return page.content.decode()


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("no_offers", "Your offers of help are paused until"),
        ("no_messages", "Your messages are paused until"),
        ("daily_limit", "those of today are sent"),
    ],
)
def test_the_offer_says_at_once_that_it_is_paused(
    reported, moderator, helper, member, owner, help_request, signed_in, choice, sentence
):
    _key, _rude, report = reported("v2")
    another = help_request(user=owner)
    client = signed_in(helper)
    assert sentence not in offer_page(client, another)
    done = act(moderator, report, choice, days=1, daily_limit="2" if choice == "daily_limit" else "")
    page = offer_page(client, another)
    assert sentence in page[page.index('id="offer-paused"') :]
    assert 'aria-describedby="offer-paused"' in page
    assert 'name="initial_message"' in page
    again = offer_page(client, another, initial_message=OFFER)
    assert again.count(sentence) == 1
    assert OFFER in again
    assert sentence not in offer_page(signed_in(member()), another)
    acts.undo_act(actor=moderator, act_id=done.pk, reason="Enough")
    assert sentence not in offer_page(client, another)


def test_the_offer_says_at_once_whom_one_has_blocked(helper, member, help_request, signed_in):
    for blocker, blocked, is_said in ((helper, member(), True), (member(), helper, False)):
        block_member(actor=blocker, member_id=blocked.pk)
        asking = blocked if blocker == helper else blocker
        page = offer_page(signed_in(helper), help_request(user=asking))
        assert ("You have blocked this member." in page) == is_said


@VERSIONS
def test_a_daily_limit_counts_both_versions(reported, moderator, helper, owner, version, beyond_policies):
    key, _rude, report = reported(version)
    # The offer and the rude message count.
    act(moderator, report, "daily_limit", days=1, daily_limit="3")
    assert send_message(actor=helper, conversation_id=key, content="The third.").is_new
    with refused(DailyLimitReached, "rate_limit_exceeded", 429) as refusal:
        send_message(actor=helper, conversation_id=key, content="The fourth.")
    assert refusal.value.retry_after
    with pytest.raises(DatabaseError, match="row-level security"):
        insert_message(version, key, helper, owner)
    with beyond_policies() as cursor:
        cursor.execute("UPDATE safety_restriction SET until = now() - interval '1 second'")
    assert send_message(actor=helper, conversation_id=key, content="The next day.").is_new


def test_a_deactivated_member_is_out_until_let_in_again(reported, moderator, helper, owner, signed_in):
    key, _rude, report = reported("v2")
    client = signed_in(helper)
    done = act(moderator, report, "deactivate")
    assert client.get("/messages").status_code == 302
    assert open_thread(reader=owner, conversation_id=key, mark_read=False).read_only == "other_gone"
    send_waiting()
    assert [one.to for one in mail.outbox if "closed your account" in one.body] == [[helper.email]]
    acts.undo_act(actor=moderator, act_id=done.pk, reason="We talked")
    assert User.objects.get(pk=helper.pk).is_active


def test_both_sides_are_told(reported, moderator, helper, owner, signed_in):
    _key, _rude, report = reported("v2")
    act(moderator, report, "no_offers", days=7, words="Let us talk on Monday.")
    send_waiting()
    told = {one.to[0]: one.body for one in mail.outbox}
    assert "troubled somebody" in told[helper.email]
    assert "paused your offers of help until" in told[helper.email]
    assert "Let us talk on Monday." in told[helper.email]
    assert "dealt with it" in told[owner.email]
    assert "As the report says" not in str(told)
    page = signed_in(helper).get("/account").content.decode()
    assert "Your offers of help are paused." in page
    assert "Let us talk on Monday." in page
    assert "As the report says" not in page
    assert "From the staff" not in signed_in(owner).get("/account").content.decode()


def test_an_act_undone_is_told_and_stays_on_record(reported, moderator, helper):
    _key, _rude, report = reported("v2")
    done = act(moderator, report, "warn")
    send_waiting()
    mail.outbox.clear()
    acts.undo_act(actor=moderator, act_id=done.pk, reason="A mistake")
    send_waiting()
    assert [("taken something back" in one.body, one.to) for one in mail.outbox] == [(True, [helper.email])]
    (notice,) = list_notices(member=helper)
    assert (notice.holds, notice.kind) == (False, "warn")
    with acting_as(moderator):
        kept = Act.objects.get()
    assert (kept.staff, kept.reason, kept.undone_by, kept.undone_reason) == (
        moderator,
        "As the report says",
        moderator,
        "A mistake",
    )
    with pytest.raises(acts.AlreadyDone):
        acts.undo_act(actor=moderator, act_id=done.pk, reason="Again")


@pytest.mark.parametrize("outcome", ["reviewed", "dismissed"])
def test_the_reporter_hears_of_a_report_that_came_to_nothing(reported, moderator, owner, outcome):
    _key, _rude, report = reported("v1")
    settle_report(actor=moderator, report_id=report.pk, outcome=outcome)
    send_waiting()
    assert [(one.to, "looked at it carefully" in one.body) for one in mail.outbox] == [([owner.email], True)]


def test_an_act_settles_its_report(reported, moderator, owner):
    _key, _rude, report = reported("v2")
    act(moderator, report, "warn")
    with acting_as(owner):
        assert Report.objects.get(pk=report.pk).status == "action_taken"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"choice": "exile"}, "choice"),
        ({"reason": " "}, "reason"),
        ({"choice": "no_offers", "days": "1000"}, "days"),
        ({"choice": "daily_limit", "days": "1", "daily_limit": "none"}, "daily_limit"),
    ],
)
def test_an_act_that_says_too_little_is_refused_by_name(reported, moderator, given, field):
    _key, _rude, report = reported("v2")
    with refused(ValidationRefused, "validation_error", 400) as refusal:
        act(moderator, report, **({"choice": "warn"} | given))
    assert list(refusal.value.fields) == [field]


def test_nobody_acts_but_staff_and_not_on_staff_or_themselves(reported, moderator, helper, owner, staff, help_request):
    _key, _rude, report = reported("v2")
    with refused(NotPermitted, "permission_denied", 403):
        act(owner, report, "warn")
    about_staff = report_member(actor=owner, help_request_id=help_request(user=moderator).pk, reason="other", words="")
    with refused(NotPermitted, "permission_denied", 403):
        act(moderator, about_staff, "warn")
    colleague = staff(name="Sam", is_superuser=False)
    with refused(NotPermitted, "permission_denied", 403):
        act(colleague, about_staff, "warn")
    assert act(staff(name="Sue"), about_staff, "warn").member == moderator


@VERSIONS
def test_the_reporter_sees_what_they_reported(reported, helper, owner, signed_in, version):
    key, _rude, _report = reported(version)
    assert "You reported this." in signed_in(owner).get(f"/messages/{key}").content.decode()
    assert "You reported this." not in signed_in(helper).get(f"/messages/{key}").content.decode()


@VERSIONS
def test_the_api_reports_a_message_and_a_person(talk, helper, owner, api_client, version, rows_of):
    key = talk(version)
    said = send_message(actor=helper, conversation_id=key, content="Rude words.").message.id
    client = api_client(owner)
    report = {"reason": "harassment", "note": "It hurts", "message_id": str(said)}
    for body in (report, report, {"reason": "other"}):
        assert client.post(f"{API}/{key}/report", body, format="json").status_code == 204
    found = rows_of("SELECT about, message_id, author_id, words FROM moderation_report ORDER BY created_at")
    assert found == [("message", said, helper.pk, "It hurts"), ("member", None, helper.pk, "")]
    answer = client.post(f"{API}/{key}/report", {"reason": "because"}, format="json")
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["reason"])
    answer = api_client(helper).post(f"{API}/{key}/report", report, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


def test_the_api_reports_the_first_message_by_the_conversations_id(talk, owner, api_client, rows_of):
    key = talk("v2")
    body = {"reason": "spam", "message_id": str(key)}
    assert api_client(owner).post(f"{API}/{key}/report", body, format="json").status_code == 204
    assert rows_of("SELECT about, message_id FROM moderation_report") == [("message", None)]


def test_a_person_is_reported_from_their_request(member, helper, help_request, signed_in, rows_of):
    request = help_request(user=member(name="Rudi"))
    client = signed_in(helper)
    page = client.get(f"/requests/{request.pk}/report").content.decode()
    assert "Report Rudi" in page
    answer = client.post(f"/requests/{request.pk}/report", {"reason": "scam", "words": "Asks for money"})
    assert answer["Location"] == f"/requests/{request.pk}?reported=1"
    assert "Staff will look" in client.get(answer["Location"]).content.decode()
    assert rows_of("SELECT about, author_id, help_request_id, words FROM moderation_report") == [
        ("member", request.user_id, request.pk, "Asks for money")
    ]


def test_a_report_of_a_person_shows_staff_no_message(talk, owner, moderator, signed_in):
    key = talk("v2")
    report = report_member(actor=owner, conversation_id=key, reason="other", words="She follows me")
    client = signed_in(moderator)
    address = f"/admin/moderation/report/{report.pk}/change/"
    page = client.get(address).content.decode()
    assert "She follows me" in page
    assert "Show the message" not in page
    assert client.post(address, {"show": "1"}).status_code == 404


def test_staff_act_undo_and_see_what_was_before_on_the_reports_page(reported, moderator, helper, owner, signed_in):
    key, _rude, report = reported("v2")
    earlier = report_member(actor=owner, conversation_id=key, reason="scam", words="")
    client = signed_in(moderator)
    address = f"/admin/moderation/report/{report.pk}/change/"
    form = {
        "act": "1",
        "choice": "daily_limit",
        "days": "7",
        "daily_limit": "",
        "reason": "Too many words",
        "words": "",
    }
    page = client.post(address, form).content.decode()
    assert "from 1 to 100" in page
    assert "Too many words" in page
    answer = client.post(address, form | {"daily_limit": "5"}, follow=True).content.decode()
    assert "The member is told" in answer
    assert "A limit of messages a day" in answer
    assert f"/admin/moderation/report/{earlier.pk}/change/" in answer
    with acting_as(moderator):
        done = Act.objects.get()
    page = client.post(address, {"undo": str(done.pk), "undo_reason": "They are sorry"}, follow=True).content.decode()
    assert "They are sorry" in page
    assert send_message(actor=helper, conversation_id=key, content="Sorry.").is_new


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO safety_restriction (id, member_id, kind, until)"
        " VALUES (gen_random_uuid(), '{0}', 'no_offers', now() + interval '1 day')",
        "INSERT INTO safety_hiddenmessage (id, conversation_id) VALUES (gen_random_uuid(), '{0}')",
        "INSERT INTO moderation_act (id, kind, member_id, report_id, reason, words, undone_reason, staff_id)"
        " VALUES (gen_random_uuid(), 'warn', '{0}', '{0}', '', '', '', '{1}')",
    ],
)
def test_sql_as_the_web_role_acts_for_staff_alone(helper, owner, statement):
    with nothing_written(), pytest.raises(DatabaseError, match="row-level security"):
        execute_as(owner, statement.format(helper.pk, owner.pk))


def test_a_restricted_member_does_not_lift_it(reported, moderator, helper, rows_of):
    _key, _rude, report = reported("v2")
    act(moderator, report, "no_messages", days=7)
    with nothing_written():
        execute_as(helper, "UPDATE safety_restriction SET lifted_at = now()")
    assert rows_of("SELECT until - created_at > %s, lifted_at FROM safety_restriction", timedelta(days=6)) == [
        (True, None)
    ]


@VERSIONS
def test_staff_are_marked_in_a_thread(talk, helper, owner, signed_in, version):
    key = talk(version)
    assert ">Staff<" not in signed_in(owner).get(f"/messages/{key}").content.decode()
    User.objects.filter(pk=helper.pk).update(is_staff=True)
    assert '<span class="tag status">Staff</span>' in signed_in(owner).get(f"/messages/{key}").content.decode()


@VERSIONS
@pytest.mark.parametrize("pace", [MailPace.SOON, MailPace.DAILY])
def test_mail_neither_quotes_nor_counts_what_was_hidden(reported, moderator, helper, owner, settings, version, pace):
    settings.MAIL_DELAY_SECONDS = 0
    update_preferences(
        actor=owner,
        email_notifications=True,
        quiet_hours_start=None,
        quiet_hours_end=None,
        shows_words=True,
        mail_pace=pace,
    )
    key, _rude, report = reported(version)
    act(moderator, report, "hide")
    send_message(actor=helper, conversation_id=key, content="Kind words.")
    news = [one.words for found in read_news(owner.pk) for one in found.said]
    assert news == ["Hello, I can bring them.", "Kind words."]
    if pace == MailPace.SOON:
        queue_waiting()
        send_waiting()
        (letter,) = [one for one in mail.outbox if key.hex in str(one.body).replace("-", "")]
        assert ("Kind words." in letter.body, "Rude words." in letter.body) == (True, False)


def test_a_hidden_first_message_is_not_mailed(talk, moderator, owner, settings):
    settings.MAIL_DELAY_SECONDS = 0
    report = report_message(actor=owner, conversation_id=talk("v2"), message_id=None, reason="spam", words="")
    act(moderator, report, "hide")
    assert read_news(owner.pk) == []


def test_the_operation_itself_returns_no_hidden_words(reported, moderator, helper, owner):
    key, rude, report = reported("v2")
    act(moderator, report, "hide")
    first = report_message(actor=owner, conversation_id=key, message_id=None, reason="spam", words="")
    act(moderator, first, "hide")
    for reader in (helper, owner):
        found = get_conversation_v2(actor=reader, conversation_id=key, reader_id=reader.pk)
        assert [one.content for one in found.messages if one.pk == rude] == [PLACEHOLDER]
        assert found.conversation.initial_message == PLACEHOLDER


def test_every_page_tells_of_an_act_until_it_was_read(reported, moderator, helper, signed_in):
    _key, _rude, report = reported("v2")
    told, client = "Our staff have written to you", signed_in(helper)
    assert told not in client.get("/requests").content.decode()
    done = act(moderator, report, "warn")
    assert all(told in client.get(path).content.decode() for path in ("/requests", "/messages", "/help"))
    client.get("/account", headers={"Sec-Purpose": "prefetch"})
    assert told in client.get("/requests").content.decode()
    page = client.get("/account").content.decode()
    assert "Please be kind." in page
    assert told not in page
    assert told not in client.get("/requests").content.decode()
    acts.undo_act(actor=moderator, act_id=done.pk, reason="It was a joke")
    assert told in client.get("/requests").content.decode()
