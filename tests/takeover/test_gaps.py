"""What a real legacy database leaves empty or calls by words of its own: pages and API show it, and members go on."""

import pytest
from django.conf import settings
from django.test import Client

from carecollective.accounts.models import User
from carecollective.moderation.selectors import list_reports, list_revealed_messages
from carecollective.moderation.services import reveal_report
from tests import databases
from tests.takeover.test_members_afterwards import the

JSON = "application/json"
HELLO = "14090ff7-9a68-40f4-be5b-e706297db165"
PAIR = "6fdf937d-cab1-4667-99ef-e4149da40d62"
TAGS = "d985b783-7785-4c89-8307-03163bc28e15"
# Every column of the messaging that the sample never leaves empty, in the rows of one conversation; of another, all dates.
GAPS = f"""
ALTER TABLE messages ALTER sender_id DROP NOT NULL, ALTER content DROP NOT NULL;
UPDATE messages SET created_at = NULL, updated_at = NULL, message_type = NULL, status = NULL WHERE id = '{HELLO}';
INSERT INTO messages (conversation_id, sender_id, recipient_id, content, created_at)
SELECT conversation_id, NULL, recipient_id, NULL, '2025-09-01' FROM messages WHERE id = '{HELLO}';
UPDATE conversations SET status = NULL, created_at = NULL, updated_at = NULL, last_message_at = NULL WHERE id = '{PAIR}';
UPDATE conversation_participants SET joined_at = NULL, role = NULL WHERE conversation_id = '{PAIR}';
UPDATE help_requests SET category = NULL, urgency = NULL
WHERE id = (SELECT help_request_id FROM conversations WHERE id = '{PAIR}');
UPDATE messages SET created_at = NULL, updated_at = NULL WHERE conversation_id = '{TAGS}';
UPDATE conversations SET created_at = NULL, updated_at = NULL, last_message_at = NULL WHERE id = '{TAGS}';
"""


def signed_in(name):
    client = Client(headers={"accept": "text/html"})
    client.force_login(the(name), backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def with_gaps(adopted, as_superuser):
    server = as_superuser(adopted)
    server.execute("SET session_replication_role = replica")
    server.execute(GAPS)
    return server


def readers(server, conversation):
    rows = server.execute("SELECT user_id FROM conversation_participants WHERE conversation_id = %s", [conversation])
    return [User.objects.get(pk=key) for (key,) in rows.fetchall()]


def test_a_message_without_a_date_opens_its_thread_and_sorts_last(with_gaps, stage):
    stage("disabled")
    for reader in readers(with_gaps, PAIR):
        client = signed_in(reader.name)
        answer = client.get(f"/api/messaging/conversations/{PAIR}").json()
        assert [message["id"] for message in answer["messages"]].index(HELLO) == 0
        assert answer["messages"][0]["created_at"] is None
        assert answer["conversation"]["status"] == "active"
        assert answer["conversation"]["initial_message"] == answer["messages"][0]["content"]
        assert [message["content"] for message in answer["messages"] if message["sender_id"] is None] == [""]
        newer = client.get(f"/api/messaging/conversations/{PAIR}/messages?after={HELLO}").json()["messages"]
        assert newer == answer["messages"][1:]
        older = client.get(f"/api/messaging/conversations/{PAIR}?before={newer[0]['id']}").json()["messages"]
        assert [message["id"] for message in older] == [HELLO]
        assert client.get(f"/api/messaging/conversations/{PAIR}?before={HELLO}").json()["messages"] == []
        page = client.get(f"/messages/{PAIR}")
        assert (page.status_code, "no date" in page.content.decode()) == (200, True)
        sent = client.post(f"/api/messaging/conversations/{PAIR}/messages", {"content": "I am still here."}, JSON)
        assert sent.status_code == 201, sent.content
        assert (
            client.get(f"/api/messaging/conversations/{PAIR}").json()["messages"][-1]["content"] == "I am still here."
        )
        assert client.get("/requests?status=&category=other&urgency=other").status_code == 200


def test_a_conversation_without_any_date_comes_last_in_the_inbox(with_gaps):
    for reader in readers(with_gaps, TAGS):
        client = signed_in(reader.name)
        assert client.get("/messages").status_code == 200
        rows, address = [], "/api/messaging/conversations"
        while address:
            page = client.get(address).json()
            rows += page["results"]
            address = page["next"]
        assert (rows[-1]["id"], rows[-1]["updated_at"]) == (TAGS, None)
        assert rows[-1]["last_message"]["created_at"] is None
        assert client.get(f"/messages/{TAGS}").status_code == 200
        assert client.post(f"/api/messaging/conversations/{TAGS}/read", {}, JSON).status_code == 204
        assert client.get("/api/messaging/conversations").json()["results"][-1]["unread_count"] == 0


def test_an_unknown_conversation_status_is_shown_and_read_only(adopted, as_superuser):
    server = as_superuser(adopted)
    server.execute("ALTER TABLE conversations DROP CONSTRAINT conversations_status_check")
    server.execute("UPDATE conversations SET status = 'archived' WHERE id = %s", [PAIR])
    client = signed_in(readers(server, PAIR)[0].name)
    assert client.get(f"/api/messaging/conversations/{PAIR}").json()["conversation"]["status"] == "archived"
    assert 'name="message"' not in client.get(f"/messages/{PAIR}").content.decode()


def test_an_unknown_category_is_shown_as_is_and_found_as_other(adopted, as_superuser):
    server = as_superuser(adopted)
    for column in ("status", "category", "urgency"):
        server.execute(f"ALTER TABLE help_requests DROP CONSTRAINT help_requests_{column}_check")
    odd, empty = [
        str(key)
        for (key,) in server.execute(
            "SELECT id FROM help_requests WHERE status = 'open' ORDER BY id LIMIT 2"
        ).fetchall()
    ]
    server.execute(
        "UPDATE help_requests SET status = 'on_hold', category = 'pets', urgency = 'low' WHERE id = %s", [odd]
    )
    server.execute("UPDATE help_requests SET status = NULL, category = NULL, urgency = NULL WHERE id = %s", [empty])
    client = signed_in("Amina")
    for field in ("status", "category", "urgency"):
        page = client.get(f"/requests?status=&{field}=other")
        assert page.status_code == 200
        found = client.get(f"/api/help-requests?{field}=other").json()["results"]
        assert {odd, empty} <= {request["id"] for request in found}
        assert client.get(f"/api/help-requests?{field}=elsewhere").status_code == 400
    assert "on_hold" in client.get("/requests?status=other").content.decode()
    assert "pets" in client.get(f"/requests/{odd}").content.decode()
    assert client.get(f"/api/help-requests/{empty}").json()["category"] is None
    owner = signed_in(
        str(
            server.execute(
                "SELECT p.name FROM profiles p JOIN help_requests r ON r.user_id = p.id WHERE r.id = %s", [odd]
            ).fetchone()[0]
        )
    )
    assert "not open at the moment" in owner.get(f"/requests/{odd}").content.decode()
    owner.post(f"/requests/{odd}/reopen")
    assert owner.get(f"/api/help-requests/{odd}").json()["status"] == "open"


def test_a_takeover_fills_in_what_every_page_shows_or_sorts_by(adopted, as_superuser):
    server = as_superuser(adopted)
    server.execute(
        "ALTER TABLE profiles ALTER name DROP NOT NULL;"
        "ALTER TABLE help_requests ALTER title DROP NOT NULL;"
        "UPDATE profiles SET name = NULL, is_admin = NULL, is_beta_tester = NULL, verification_status = NULL,"
        " created_at = NULL WHERE name LIKE 'Otto%';"
        "UPDATE help_requests SET title = NULL, created_at = NULL, updated_at = NULL"
        " WHERE id = (SELECT id FROM help_requests WHERE status = 'open' ORDER BY id LIMIT 1)"
    )
    databases.manage(settings.DATA_DIR, adopted, "adopt_legacy")
    (newest, *_rest) = signed_in("Amina").get("/api/help-requests?status=open").json()["results"]
    assert newest["title"] != "A request without a title"
    assert User.objects.get(name="Neighbour").verification_status == "pending"
    assert "A request without a title" in signed_in("Amina").get("/requests?q=title").content.decode()


def test_staff_read_legacy_reports_whatever_type_their_words_have(adopted, as_superuser):
    server = as_superuser(adopted)
    server.execute(
        "CREATE TYPE reason AS ENUM ('spam', 'scam'); CREATE TYPE outcome AS ENUM ('reviewed');"
        "ALTER TABLE message_reports DROP CONSTRAINT message_reports_reason_check,"
        " DROP CONSTRAINT message_reports_status_check, ALTER status DROP DEFAULT;"
        "DELETE FROM message_reports;"
        "ALTER TABLE message_reports ALTER reason TYPE reason USING reason::reason,"
        " ALTER status TYPE outcome USING status::outcome, ALTER description TYPE varchar(300);"
        "ALTER TABLE messages ALTER content TYPE varchar(4000)"
    )
    server.execute(
        "INSERT INTO message_reports (message_id, reported_by, reason) SELECT id, recipient_id, 'spam' FROM messages"
        " WHERE id = %s",
        [HELLO],
    )
    (report,) = list_reports(reader=the("Amina")).reports
    assert (report.reason, report.is_waiting) == ("It is advertising", True)
    access = reveal_report(actor=the("Amina"), report_id=report.id)
    said = [
        message.place for message in list_revealed_messages(reader=the("Amina"), report_id=report.id, access=access)
    ]
    assert 0 in said
