"""A block, a restriction or a closed conversation holds through every way in, and in the other messaging too."""

import io
import json
import sys
from email.message import EmailMessage
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import DatabaseError

from carecollective.inbox.closing.services import block_other, close_conversation
from carecollective.inbox.replies.addresses import make_reply_address
from carecollective.inbox.selectors import open_thread
from carecollective.mail.delivery import send_waiting
from carecollective.moderation import acts
from carecollective.moderation.services import report_message
from carecollective.safety.services import block_member
from tests.safety.conftest import VERSIONS
from tests.safety.test_blocking import execute_as
from tests.safety.test_closing import insert_message

pytestmark = pytest.mark.django_db
API = "/api/messaging"
TYPED = "Please let me in, I have something to say."
TABLES = ("conversations", "conversations_v2", "messages", "messages_v2", "conversation_participants")


@pytest.fixture
def ways(signed_in, api_client, monkeypatch, settings):
    """Every way in, as a function that tells whether it refused and gave the text back."""
    settings.REPLY_DOMAIN, settings.MAIL_DELAY_SECONDS = "in.care.example", 0

    def form(member, path, field):
        answer = signed_in(member).post(path, {field: TYPED})
        return answer.status_code >= 400 and TYPED in answer.content.decode()

    def script(member, path, field):
        """As the page's script sends: JSON in the browser's session. The words are still in the page."""
        return signed_in(member).post(path, json.dumps({field: TYPED}), "application/json").status_code >= 400

    def program(member, path, field):
        return api_client(member).post(path, {field: TYPED}, format="json").status_code >= 400

    def reply(member, key):
        message = EmailMessage()
        message["From"], message["To"] = member.email, make_reply_address(member.pk, key)
        message["Message-ID"] = f"<{uuid4()}@mail.example>"
        message.set_content(TYPED)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(message.as_bytes())))
        out = io.StringIO()
        call_command("receive_mail", stdout=out)
        mail.outbox.clear()
        send_waiting()
        letter = next((one for one in mail.outbox if one.subject == "Your answer was not delivered"), None)
        return (
            out.getvalue() == "refused\n"
            and letter is not None
            and letter.to == [member.email]
            and TYPED in letter.body
        )

    def sql(statement, *values):
        try:
            statement(*values)
        except DatabaseError as error:
            return "row-level security" in str(error)
        return False

    return SimpleNamespace(form=form, script=script, program=program, reply=reply, sql=sql)


@pytest.fixture
def unwritten(beyond_policies):
    """Return what was written so far, in either messaging."""

    def read():
        with beyond_policies() as cursor:
            found = {}
            for table in TABLES:
                cursor.execute(f"SELECT count(*) FROM {table}")
                found[table] = cursor.fetchone()[0]
        return found

    return read


@pytest.fixture
def both(talk, helper, owner, help_request):
    """A conversation of the two in each messaging."""
    return {"v1": talk("v1"), "v2": talk("v2", help_request_id=help_request(user=owner, title="A lift").pk)}


@pytest.fixture
def hold(helper, owner, staff, both):
    """Hold the helper back: `hold("block", "v2")`; what is about one conversation is about that of the version."""

    def restrict(kind, version, **given):
        report = report_message(
            actor=owner, conversation_id=both[version], message_id=first(version), reason="spam", words=""
        )
        acts.act_on_report(
            actor=staff(), report_id=report.pk, choice=kind, reason="Spam", words="Please stop.", days=7, **given
        )

    def first(version):
        return open_thread(reader=owner, conversation_id=both[version], mark_read=False).shown[0].id

    def do(what, version):
        match what:
            case "closing":
                for key in both.values():
                    close_conversation(actor=owner, conversation_id=key)
            case "block":
                block_other(actor=owner, conversation_id=both[version])
            case "own block":
                block_member(actor=helper, member_id=owner.pk)
            case "daily limit":
                restrict("daily_limit", version, daily_limit="1")
            case _:
                restrict(what, version)

    return do


@VERSIONS
@pytest.mark.parametrize("what", ["closing", "block", "own block", "no_messages", "daily limit"])
def test_no_message_comes_through(what, version, both, hold, ways, unwritten, helper, owner):
    hold(what, version)
    before = unwritten()
    held: dict[str, bool] = {}
    for kind, key in both.items():
        messages = f"{API}/conversations/{key}/messages"
        held |= {
            f"{kind} form": ways.form(helper, f"/messages/{key}", "message"),
            f"{kind} script": ways.script(helper, messages, "content"),
            f"{kind} program": ways.program(helper, messages, "content"),
            f"{kind} reply": ways.reply(helper, key),
            f"{kind} sql": ways.sql(insert_message, kind, key, helper, owner),
        }
    assert [way for way, is_held in held.items() if not is_held] == []
    assert unwritten() == before


@VERSIONS
@pytest.mark.parametrize("what", ["block", "own block", "no_offers", "no_messages", "daily limit"])
def test_no_offer_comes_through(what, version, both, hold, ways, unwritten, stage, help_request, helper, owner):
    another = help_request(user=owner, title="Firewood")
    hold(what, version)
    before = unwritten()
    start = f"{API}/help-requests/{another.pk}/start-conversation"
    v1 = f"INSERT INTO conversations (id, help_request_id, created_by, status) VALUES (gen_random_uuid(), '{another.pk}', '{helper.pk}', 'active')"
    v2 = (
        "INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)"
        f" VALUES (gen_random_uuid(), '{another.pk}', '{owner.pk}', '{helper.pk}', '{TYPED}')"
    )
    held = {"sql v1": ways.sql(execute_as, helper, v1), "sql v2": ways.sql(execute_as, helper, v2)}
    for now in ("disabled", "enabled"):
        stage(now, v1_writes=True)
        held |= {
            f"{now} form": ways.form(helper, f"/requests/{another.pk}", "initial_message"),
            f"{now} script": ways.script(helper, start, "initial_message"),
            f"{now} program": ways.program(helper, start, "initial_message"),
        }
    # A frozen legacy conversation is not gone on with either.
    stage("enabled", v1_writes=False)
    held |= {
        "continue form": ways.form(helper, f"/messages/{both['v1']}/continue", "initial_message"),
        "continue program": ways.program(helper, f"{API}/conversations/{both['v1']}/continue", "initial_message"),
    }
    assert [way for way, is_held in held.items() if not is_held] == []
    assert unwritten() == before


def test_every_way_in_is_open_to_who_is_not_held_back(both, ways, unwritten, helper, owner):
    """The other tests prove something only where each way leads in otherwise."""
    before = unwritten()
    for kind, key in both.items():
        messages = f"{API}/conversations/{key}/messages"
        assert not ways.form(helper, f"/messages/{key}", "message")
        assert not ways.script(helper, messages, "content")
        assert not ways.program(helper, messages, "content")
        assert not ways.reply(helper, key)
        assert not ways.sql(insert_message, kind, key, helper, owner)
    after = unwritten()
    assert {table: after[table] - before[table] for table in ("messages", "messages_v2")} == {
        "messages": 5,
        "messages_v2": 5,
    }
