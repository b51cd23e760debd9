"""With two thousand conversations and a long thread, the new messaging reads few messages for those that it shows."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.core.pagination import UNDATED
from carecollective.inbox.queries import LIST, LOCATE, MOST_COUNTED, PLACES, SHOWN, UNREAD
from tests import databases
from tests.policies.test_plans import walk
from tests.policies.world import WORLD

# The requester has 2,000 conversations, each helper 20; those of number 1 are long, and nobody has read anything.
ROWS = """
INSERT INTO profiles (id, name, email, verification_status)
  SELECT md5('p' || n)::uuid, 'Member ' || n, 'p' || n || '@many.example.org', 'approved' FROM generate_series(0, 99) n;
INSERT INTO help_requests (id, user_id, title, category, urgency, status)
  SELECT md5('r' || n)::uuid, %(requester)s, 'A hand', 'other', 'normal', 'open' FROM generate_series(0, 19) n;
INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)
  SELECT md5('c' || n)::uuid, md5('r' || n / 100)::uuid, %(requester)s, md5('p' || mod(n, 100))::uuid, 'I can help you with it.'
  FROM generate_series(0, 1999) n;
INSERT INTO messages_v2 (id, conversation_id, sender_id, content, created_at)
  SELECT md5('m' || n)::uuid, md5('c' || mod(n, 2000))::uuid, md5('p' || mod(n, 100))::uuid, 'Hello', now() + n * interval '1 ms'
  FROM generate_series(0, 9999) n;
INSERT INTO messages_v2 (id, conversation_id, sender_id, content, created_at)
  SELECT md5('long' || n)::uuid, c.id, CASE mod(n, 2) WHEN 0 THEN c.helper_id ELSE c.requester_id END, 'Hello',
    now() + n * interval '1 ms'
  FROM generate_series(0, 4999) n, conversations_v2 c WHERE c.id = md5('c1')::uuid;
UPDATE conversations_v2 SET updated_at = now() + interval '1 hour' WHERE id = md5('c1')::uuid;
"""
THREAD = "SELECT * FROM messages_v2 WHERE conversation_id = md5('c1')::uuid ORDER BY created_at DESC, id DESC LIMIT 51"
INBOX = LIST.format(place=PLACES["first"], shown=SHOWN["inbox"], direction="DESC")
# At most three times what is shown: a page shows the newest message of each conversation, and counts up to five new ones or 100.
READ = {INBOX: 3 * (21 + 20 * 5 + MOST_COUNTED), UNREAD: 3 * MOST_COUNTED, THREAD: 51, LOCATE: 3}
MANY, FEW = "requester", "helper"


@pytest.fixture(scope="module")
def crowded(worlds: dict[str, str]) -> Iterator["psycopg.Connection[Any]"]:
    """The world that was born empty, with many more rows, in a transaction that is rolled back."""
    url = databases.superuser_url(settings.DATA_DIR, worlds["born empty"])
    with psycopg.connect(url, prepare_threshold=None) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement in ROWS.split(";\n")[:-1]:
            connection.execute(statement.encode(), WORLD if "%(" in statement else None)
        connection.execute("ANALYZE profiles, help_requests, conversations_v2, messages_v2")
        connection.execute("SET LOCAL SESSION AUTHORIZATION carecollective_web")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("who", [MANY, FEW])
@pytest.mark.parametrize("statement", READ, ids=["inbox", "unread", "thread", "locate"])
def test_few_messages_are_read_and_no_table_whole(crowded: Any, statement: str, who: str) -> None:
    reader = crowded.execute(
        "SELECT CASE WHEN %s = 'helper' THEN md5('p1')::uuid ELSE %s END", [who, WORLD["requester"]]
    )
    (key,) = reader.fetchone()
    crowded.execute("SELECT set_config('app.user_id', %s, true)", [str(key)])
    (conversation,) = crowded.execute("SELECT md5('c1')::uuid").fetchone()
    values = {"reader": key, "conversation": conversation, "limit": 21, "mark": False, "undated": UNDATED}
    given = values if "%(" in statement else None
    plan = crowded.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), given).fetchone()[0][0]["Plan"]
    nodes = [node for node in walk(plan) if node.get("Relation Name") == "messages_v2"]
    assert nodes
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in nodes)
    assert 0 < read <= READ[statement]
