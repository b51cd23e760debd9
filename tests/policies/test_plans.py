"""With ten thousand legacy conversations, a member's pages still read the member's own rows by index."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.core.pagination import UNDATED
from carecollective.inbox.queries import LIST, LOCATE, PLACES, SHOWN, UNREAD
from tests import databases
from tests.policies.probes_of_v1 import TABLES
from tests.policies.world import WORLD

CONVERSATIONS = 10_000
# Everybody talks to the requester, about a request of hers: she has them all, each helper a few.
ROWS = f"""
INSERT INTO profiles (id, name, email, verification_status)
  SELECT md5('p' || n)::uuid, 'Member ' || n, 'p' || n || '@many.example.org', 'approved' FROM generate_series(1, 1000) n;
INSERT INTO conversations (id, help_request_id, created_by)
  SELECT md5('c' || n)::uuid, %(talked_about)s, md5('p' || 1 + mod(n, 1000))::uuid FROM generate_series(1, {CONVERSATIONS}) n;
INSERT INTO conversation_participants (conversation_id, user_id)
  SELECT md5('c' || n)::uuid, md5('p' || 1 + mod(n, 1000))::uuid FROM generate_series(1, {CONVERSATIONS}) n
  UNION ALL SELECT md5('c' || n)::uuid, %(requester)s FROM generate_series(1, {CONVERSATIONS}) n;
INSERT INTO messages (conversation_id, sender_id, recipient_id, content)
  SELECT md5('c' || n)::uuid, md5('p' || 1 + mod(n, 1000))::uuid, %(requester)s, 'Hello' FROM generate_series(1, {CONVERSATIONS}) n;
"""
THREAD = "SELECT * FROM messages WHERE conversation_id = %(conversation)s ORDER BY created_at DESC LIMIT 50"
STATEMENTS = {
    **{
        shown: LIST.format(place=PLACES["first"], shown=SHOWN[shown], direction="DESC") for shown in ("inbox", "unread")
    },
    "count": UNREAD,
    "locate": LOCATE,
    "thread": THREAD,
}


@pytest.fixture(scope="module")
def crowded(worlds: dict[str, str]) -> Iterator["psycopg.Connection[Any]"]:
    """The taken-over world with many more rows, in a transaction that is rolled back."""
    url = databases.superuser_url(settings.DATA_DIR, worlds["taken over"])
    with psycopg.connect(url, prepare_threshold=None) as connection:
        # The legacy trigger would bump each conversation by itself.
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement in ROWS.split(";\n")[:-1]:
            connection.execute(statement.encode(), WORLD if "%(" in statement else None)
        connection.execute(f"ANALYZE profiles, {', '.join(TABLES)}".encode())
        connection.execute("SET LOCAL SESSION AUTHORIZATION carecollective_web")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_helper_with_ten_conversations_reads_no_table_whole(crowded: Any, name: str) -> None:
    helper = crowded.execute("SELECT md5('p7')::uuid").fetchone()[0]
    conversation = crowded.execute("SELECT md5('c6')::uuid").fetchone()[0]
    scanned, rows = explain(crowded, STATEMENTS[name], reader=helper, conversation=conversation)
    assert scanned == set()
    assert rows > 0 or name == "unread"


def explain(connection: Any, statement: str, *, reader: Any, conversation: Any) -> tuple[set[str], int]:
    """Return the V1 tables that the plan reads from end to end, and how many rows come of it."""
    connection.execute("SELECT set_config('app.user_id', %s, true)", [str(reader)])
    values = {"reader": reader, "conversation": conversation, "limit": 21, "mark": False, "undated": UNDATED}
    plan = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), values).fetchone()[0][0]
    return {
        node["Relation Name"]
        for node in walk(plan["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in TABLES
    }, plan["Plan"]["Actual Rows"]


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)
