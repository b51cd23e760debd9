"""An export is complete, visible to its member only, made by the worker, and deleted after some days."""

import json
import re
from io import BytesIO
from zipfile import ZipFile

import pytest
from django.core import mail
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.core.errors import DomainNotFound, NotPermitted
from carecollective.inbox.services import offer_help, send_message
from carecollective.mail.delivery import send_waiting
from carecollective.moderation.services import report_message
from carecollective.privacy import archive, exports
from carecollective.privacy.models import Export, ExportFile, ExportState
from tests.privacy.stored import stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(member):
    return member(name="Ada Lovelace", email="ada@example.org", location="Ozark", set_password="three green apples")


def unpack(content):
    with ZipFile(BytesIO(content)) as files:
        assert sorted(files.namelist()) == ["care-collective.html", "care-collective.json", "style.css"]
        return json.loads(files.read("care-collective.json")), files.read("care-collective.html").decode()


def newest_of(member):
    newest = exports.newest_export(member=member)
    assert newest
    return newest


def export(actor):
    exports.request_export(actor=actor)
    exports.prepare_waiting()
    newest = newest_of(actor)
    return newest, *unpack(exports.read_export(reader=actor, export_id=newest.pk))


def test_it_holds_all_that_is_the_members_and_nothing_of_others(
    ada, member, help_request, legacy_tables, legacy_conversation, stage, beyond_policies
):
    stage("enabled", v1_writes=True)
    bob = member(name="Bob <b>")
    own = help_request(user=ada, title="Ada asks")
    asked = offer_help(actor=bob, help_request_id=own.pk, initial_message="Bob opens <script>.")
    for number in range(120):
        send_message(actor=ada, conversation_id=asked.conversation_id, content=f"Ada says {number}")
    legacy_conversation(help_request(user=bob), ada, [(ada, "Ada in V1"), (bob, "Bob in V1")])
    legacy_conversation(help_request(user=bob), ada, [(ada, "Ada hidden")], moderation_status="hidden")
    legacy_conversation(help_request(user=bob), ada, [(bob, "Bob hidden")], moderation_status="hidden")
    legacy_conversation(help_request(user=bob), ada, [(ada, "Ada left"), (bob, "Bob after")], left=ada)
    others = offer_help(actor=member(), help_request_id=help_request(user=bob).pk, initial_message="None of Ada's.")
    report_message(
        actor=ada, conversation_id=asked.conversation_id, message_id=None, reason="spam", words="Ada reports"
    )
    with beyond_policies() as cursor:
        cursor.execute("SELECT id FROM messages WHERE content = 'Bob in V1'")
        cursor.execute(
            "INSERT INTO message_reports (message_id, reported_by, reason, description) VALUES (%s, %s, 'spam', 'Ada once')",
            [cursor.fetchone()[0], ada.pk],
        )
    newest, data, page = export(ada)
    assert newest.state == ExportState.READY
    assert (newest.done, newest.total) == (4, 4)
    assert (data["profile"]["name"], data["profile"]["email"]) == ("Ada Lovelace", "ada@example.org")
    assert "password" not in data["profile"]
    assert data["preferences"][0]["email_notifications"] is True
    assert [request["title"] for request in data["help_requests"]] == ["Ada asks"]
    by_version = {conversation["version"]: conversation for conversation in data["conversations"]}
    new = by_version["v2"]
    assert [message["content"] for message in new["messages"]] == [
        "Bob opens <script>.",
        *(f"Ada says {number}" for number in range(120)),
    ]
    assert [message["by_me"] for message in new["messages"][:2]] == [False, True]
    assert (new["i_am"], new["with"]["name"]) == ("requester", "Bob <b>")
    legacy = [
        message["content"]
        for conversation in data["conversations"]
        if conversation["version"] == "v1"
        for message in conversation["messages"]
    ]
    assert sorted(legacy) == ["Ada hidden", "Ada in V1", "Bob in V1", "This message was removed by a moderator."]
    assert [message["content"] for message in data["messages_in_conversations_left"]] == ["Ada left"]
    assert sorted(report["words"] for report in data["reports"]) == ["Ada once", "Ada reports"]
    whole = json.dumps(data) + page
    for foreign in ("Bob hidden", "Bob after", "None of Ada's", str(others.conversation_id), ada.password):
        assert foreign not in whole
    assert "Bob opens &lt;script&gt;." in page
    assert "Ada says 119" in page


def test_every_message_in_it_stands_under_its_own_author(
    ada, member, help_request, legacy_conversation, beyond_policies, stage
):
    stage("enabled", v1_writes=True)
    bob, tess, gone = member(name="Bob"), member(name="Tess <i>"), member(name="Gone")
    words = [(ada, "Ada offers."), (bob, "Bob thanks."), (tess, "Tess drives."), (gone, "Gone waves.")]
    key = legacy_conversation(help_request(user=bob), ada, words)
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO conversation_participants (conversation_id, user_id) VALUES (%s, %s)", [key, tess.pk]
        )
    new = offer_help(actor=bob, help_request_id=help_request(user=ada).pk, initial_message="Bob offers too.")
    send_message(actor=ada, conversation_id=new.conversation_id, content="Ada thanks.")
    _newest, data, page = export(ada)
    authors = {
        message["content"]: (message["by_me"], message["by"])
        for conversation in data["conversations"]
        for message in conversation["messages"]
    }
    assert authors == {
        "Ada offers.": (True, {"id": str(ada.pk), "name": "Ada Lovelace"}),
        "Bob thanks.": (False, {"id": str(bob.pk), "name": "Bob"}),
        "Tess drives.": (False, {"id": str(tess.pk), "name": "Tess <i>"}),
        # Their row among the participants is gone.
        "Gone waves.": (False, {"id": str(gone.pk), "name": None}),
        "Bob offers too.": (False, {"id": str(bob.pk), "name": "Bob"}),
        "Ada thanks.": (True, {"id": str(ada.pk), "name": "Ada Lovelace"}),
    }
    assert authors_on(page) == {
        "Ada offers.": "I",
        "Bob thanks.": "Bob",
        "Tess drives.": "Tess &lt;i&gt;",
        "Gone waves.": "A former member",
        "Bob offers too.": "Bob",
        "Ada thanks.": "I",
    }


def test_what_the_legacy_system_wrote_is_nobodys_words(ada, member, help_request, legacy_conversation):
    bob = member(name="Bob")
    own, theirs = "Ada's request was marked completed.", "Bob's request was marked completed."
    request = help_request(user=bob)
    legacy_conversation(request, ada, [(ada, own), (bob, theirs)], message_type="system")
    legacy_conversation(request, ada, [(ada, "Taken down.")], message_type="system", moderation_status="hidden")
    legacy_conversation(request, ada, [(ada, "Ada left.")], message_type="help_request_update", left=ada)
    _newest, data, page = export(ada)
    removed = "This message was removed by a moderator."
    messages = [message for conversation in data["conversations"] for message in conversation["messages"]]
    assert {message["content"] for message in messages} == {own, theirs, removed}
    assert {(message["by_me"], message["by"], message["system"]) for message in messages} == {(False, None, True)}
    assert authors_on(page) == dict.fromkeys([escape(own), escape(theirs), removed], "Care Collective")
    assert data["messages_in_conversations_left"] == []
    assert "Taken down." not in page


def authors_on(page):
    """Return who wrote what on the export's page."""
    found = re.findall(r'<p class="who">\s*([^\n]*?),\s[^,]*?, [0-9:]+\s*</p>\s*<p class="words">(.*?)</p>', page)
    return {words: who for who, words in found}


def test_the_account_page_tells_how_far_it_is_and_hands_it_out(ada, member, help_request, stage, signed_in):
    stage("enabled")
    offer_help(actor=ada, help_request_id=help_request().pk, initial_message="I can help with that.")
    client = signed_in(ada)
    assert "Ask for a copy of my data" in client.get("/account").content.decode()
    response = client.post("/account/export")
    assert (response.status_code, response["Location"]) == (302, "/account#your-data")
    assert "is being put together" in client.get("/account").content.decode()
    seen = []

    def look(done, total):
        with acting_as(ada):
            Export.objects.update(done=done, total=total)
        seen.append(f"{done} of {total} conversation." in " ".join(client.get("/account").content.decode().split()))

    archive.build_archive(member=ada, on_progress=look)
    assert seen == [True, True]
    assert exports.prepare_waiting() == 1
    page = " ".join(client.get("/account").content.decode().split())
    newest = newest_of(ada)
    assert f"/account/export/{newest.pk}" in page
    assert "kept for 7 days" in page
    answer = client.get(f"/account/export/{newest.pk}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"].startswith("attachment")
    unpack(answer.content)


def test_asking_twice_while_one_is_under_way_is_once(ada):
    first = exports.request_export(actor=ada)
    assert exports.request_export(actor=ada) == first
    assert exports.prepare_waiting() == 1
    assert exports.request_export(actor=ada) != first


def test_nobody_else_downloads_it_not_even_staff(ada, member, staff, signed_in, visitor_pages):
    newest, _data, _page = export(ada)
    missing = "/account/export/00000000-0000-4000-8000-000000000000"
    for other in (member(), staff()):
        client = signed_in(other)
        found, absent = client.get(f"/account/export/{newest.pk}"), client.get(missing)
        assert found.status_code == absent.status_code == 404
        assert visitor_pages(found) == visitor_pages(absent)
        with acting_as(other):
            assert not ExportFile.objects.exists()
    assert not ExportFile.objects.exists()
    assert len(stored(ExportFile)) == 1
    again = exports.request_export(actor=ada)
    with pytest.raises(DatabaseError), transaction.atomic(), acting_as(member()):
        ExportFile.objects.create(export=again, member=ada, content=b"")
    assert len(stored(ExportFile)) == 1


@pytest.fixture
def visitor_pages():
    """Return a page without the parts that differ from request to request."""

    def strip(response):
        return "\n".join(
            line for line in response.content.decode().splitlines() if "csrf" not in line and "id:" not in line
        )

    return strip


def test_staff_request_an_export_that_only_the_member_opens(ada, member, staff):
    with pytest.raises(NotPermitted):
        exports.request_export_for_member(actor=member(), member_id=ada.pk)
    helper = staff(is_superuser=False)
    with pytest.raises(DomainNotFound):
        exports.request_export_for_member(actor=helper, member_id=helper.pk.__class__(int=0))
    asked = exports.request_export_for_member(actor=helper, member_id=ada.pk)
    assert exports.prepare_waiting() == 1
    assert send_waiting() == 1
    assert [message.to for message in mail.outbox] == [["ada@example.org"]]
    with pytest.raises(DomainNotFound):
        exports.read_export(reader=helper, export_id=asked.pk)
    assert exports.read_export(reader=ada, export_id=asked.pk)


def test_it_is_kept_for_seven_days_and_no_longer(ada, beyond_policies):
    newest, _data, _page = export(ada)
    for days, pruned in ((6.9, 0), (7.1, 1)):
        with beyond_policies() as cursor:
            cursor.execute("UPDATE privacy_export SET ready_at = now() - make_interval(secs => %s)", [days * 86400])
        assert exports.prune_exports() == pruned
    with pytest.raises(DomainNotFound):
        exports.read_export(reader=ada, export_id=newest.pk)
    with beyond_policies() as cursor:
        cursor.execute("SELECT count(*) FROM privacy_exportfile")
        assert cursor.fetchone()[0] == 0


def test_what_a_killed_worker_left_half_made_is_made_again(ada):
    exports.request_export(actor=ada)
    with acting_as(ada):
        assert Export.objects.update(state=ExportState.WORKING, attempts=1, done=3, total=9) == 1
    assert exports.prepare_waiting() == 1
    assert newest_of(ada).state == ExportState.READY


def test_after_three_tries_it_says_so_and_can_be_asked_for_again(ada, monkeypatch, signed_in, caplog):
    def fail(**given):
        raise ValueError("a private sentence")

    with monkeypatch.context() as patched:
        patched.setattr(exports, "build_archive", fail)
        exports.request_export(actor=ada)
        assert [exports.prepare_waiting() for _try in range(4)] == [0] * 4
    assert "a private sentence" not in caplog.text
    client = signed_in(ada)
    assert "could not be put together" in client.get("/account").content.decode()
    client.post("/account/export")
    assert exports.prepare_waiting() == 1


def test_a_member_erased_meanwhile_gets_no_file(ada, monkeypatch):
    exports.request_export(actor=ada)

    def erase_in_between(**given):
        with acting_as(ada), connection.cursor() as cursor:
            cursor.execute("SELECT public.privacy_erase_member(%s)", [ada.pk])
        return b"all that was hers"

    monkeypatch.setattr(exports, "build_archive", erase_in_between)
    assert exports.prepare_waiting() == 0
    assert (stored(Export), User.objects.get(pk=ada.pk).name) == ([], "Former member")


def test_the_account_page_asks_one_question_more(ada, signed_in):
    client = signed_in(ada)
    client.get("/account")
    with CaptureQueriesContext(connection) as queries:
        client.get("/account")
    # Among them whether the address is confirmed, the second factor and the list of sessions; the questions for exports, blocks
    # and notices are each asked within a transaction of four statements more, as is what is unread.
    assert len(queries) <= 29
