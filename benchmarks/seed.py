"""Databases of known content, filled by SQL: members, requests, conversations and messages, all derived from numbers."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from psycopg import sql

from carecollective.postgres.dsn import ROLE_NAMES, connect, connection_url
from carecollective.postgres.embedded.server import ensure_running, release
from carecollective.postgres.roles import Connection, grant_database

PROJECT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("BENCH_DATA_DIR", PROJECT / ".data/bench"))
PASSWORD = "a benchmark is no secret"  # noqa: S105 -- every seeded member's
MIGRATED = "bench_migrated"  # empty: the others begin as its copies
SHARED_BUFFERS = "1GB"
LONG_THREAD = 50_000
FRESH_REQUESTS = 20_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much a database holds; a conversation has ten messages on average."""

    conversations: int
    long_thread: int = LONG_THREAD
    many: int = 2_000

    @property
    def members(self) -> int:
        return max(self.conversations // 20, 50)

    @property
    def database(self) -> str:
        return f"bench_{self.conversations}_{self.long_thread}"


# The smaller ones are compared in all their content, and hold no long thread.
SMALLEST, SMALL = (Size(conversations, long_thread=50, many=20) for conversations in (200, 1_000))
TINY = Size(1_000, long_thread=500, many=50)
QUICK = Size(10_000)
FULL = Size(100_000)


def key(kind: str, number: int | str) -> UUID:
    """Return the id of a seeded row; `md5('kind:number')::uuid` is the same in SQL."""
    return UUID(hashlib.md5(f"{kind}:{number}".encode(), usedforsecurity=False).hexdigest())


def token(number: int | str) -> str:
    """Return a member's API token."""
    return key("token", number).hex + key("secret", number).hex


def email(number: int | str) -> str:
    return f"member-{number}@bench.example"


def thread_of(number: int) -> tuple[UUID, int]:
    """Return a conversation of 60 messages and the number of its helper."""
    return key("conversation", number * 11), number * 11


_PEOPLE = """
INSERT INTO profiles (id, name, email, password, verification_status, is_active, is_admin, approved_at)
  SELECT md5('member:' || number)::uuid, 'Member ' || number, 'member-' || number || '@bench.example', %(password)s,
         'approved', true, false, now()
  FROM people;
INSERT INTO knox_authtoken (digest, token_key, user_id, created, expiry)
  SELECT encode(sha512(convert_to(md5('token:' || number) || md5('secret:' || number), 'UTF8')), 'hex'),
         left(md5('token:' || number), 15), md5('member:' || number)::uuid, now(), now() + interval '10 years'
  FROM people;
"""
# Members 0 to N-1, and those of whom one thing is known: few and many conversations, a long thread, read or not.
MEMBERS = f"""
CREATE TEMPORARY TABLE people AS
  SELECT n::text AS number FROM generate_series(0, %(members)s - 1) n
  UNION ALL SELECT unnest(ARRAY['owner', 'few', 'many', 'long', 'long-read', 'short', 'short-read']);
{_PEOPLE}"""
# Conversation n is about request n, by helper n modulo N, with the next member but six as its owner.
CONVERSATIONS = """
CREATE TEMPORARY TABLE pairs AS
  SELECT n::text AS number, (n %% %(members)s)::text AS helper, ((n + 7) %% %(members)s)::text AS owner,
         CASE WHEN n %% 11 = 0 THEN 60 ELSE 5 END AS messages, now() - interval '400 days' + n * interval '1 second' AS at
  FROM generate_series(0, %(conversations)s - 1) n
  UNION ALL
  SELECT who || n, who, 'owner', CASE WHEN n > 1 THEN 5 WHEN who LIKE 'long%%' THEN %(long_thread)s ELSE 50 END,
         now() - interval '300 days' + n * interval '1 second'
  FROM unnest(ARRAY['few', 'many', 'long', 'long-read', 'short', 'short-read']) who,
       generate_series(1, CASE who WHEN 'many' THEN %(many)s ELSE 20 END) n;
INSERT INTO help_requests (id, user_id, title, description, category, urgency, status, created_at, updated_at)
  SELECT md5('request:' || number)::uuid, md5('member:' || owner)::uuid, 'Request ' || number, 'Groceries, please.',
         'other', 'normal', 'open', at, at FROM pairs
  UNION ALL
  SELECT md5('fresh:' || n)::uuid, md5('member:owner')::uuid, 'Fresh request ' || n, 'A ride, please.', 'other', 'normal', 'open',
         now() - interval '1 day', now() FROM generate_series(0, %(fresh)s - 1) n;
INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message, created_at, updated_at)
  SELECT md5('conversation:' || number)::uuid, md5('request:' || number)::uuid, md5('member:' || owner)::uuid,
         md5('member:' || helper)::uuid, 'Hello, I can help you with this.', at, at + messages * interval '1 minute' FROM pairs;
INSERT INTO messages_v2 (id, conversation_id, sender_id, content, created_at, updated_at)
  SELECT md5('message:' || number || '/' || m)::uuid, md5('conversation:' || number)::uuid,
         md5('member:' || CASE m %% 2 WHEN 0 THEN helper ELSE owner END)::uuid,
         'Message ' || m || ': would tomorrow at two suit you as well?',
         at + m * interval '1 minute', at + m * interval '1 minute'
  FROM pairs, generate_series(1, messages) m;
-- Every other member has read everything; of those with a name, the ones called so.
INSERT INTO inbox_readpointer (member_id, conversation_id, read_to)
  SELECT md5('member:' || helper)::uuid, md5('conversation:' || number)::uuid, at + messages * interval '1 minute' FROM pairs
  WHERE helper LIKE '%%-read' OR helper ~ '[02468]$';
"""
# As many members and conversations of the legacy messaging. On empty tables the V1 flow would be measured as no site has it.
LEGACY = f"""
TRUNCATE people;
INSERT INTO people SELECT 'legacy-' || n FROM generate_series(0, %(members)s - 1) n;
{_PEOPLE}
CREATE TEMPORARY TABLE legacy_pairs AS
  SELECT md5('legacy:' || n)::uuid AS id, md5('request:' || n)::uuid AS request,
         md5('member:legacy-' || n %% %(members)s)::uuid AS helper,
         md5('member:legacy-' || (n + 7) %% %(members)s)::uuid AS owner,
         CASE WHEN n %% 11 = 0 THEN 60 ELSE 5 END AS messages, now() - interval '400 days' + n * interval '1 second' AS at
  FROM generate_series(0, %(conversations)s - 1) n;
INSERT INTO conversations (id, help_request_id, created_by, created_at, updated_at, last_message_at)
  SELECT id, request, helper, at, at + messages * interval '1 minute', at + messages * interval '1 minute' FROM legacy_pairs;
INSERT INTO conversation_participants (conversation_id, user_id, joined_at)
  SELECT id, unnest(ARRAY[helper, owner]), at FROM legacy_pairs;
INSERT INTO messages (conversation_id, sender_id, recipient_id, content, read_at, created_at, updated_at)
  SELECT id, CASE m %% 2 WHEN 0 THEN helper ELSE owner END, CASE m %% 2 WHEN 0 THEN owner ELSE helper END,
         'Message ' || m || ': would tomorrow at two suit you as well?', CASE m %% 2 WHEN 0 THEN at END,
         at + m * interval '1 minute', at + m * interval '1 minute'
  FROM legacy_pairs, generate_series(1, messages) m;
"""
# V1 writes stay on, so that the same database serves the V1 flow.
STAGE = "UPDATE rollout_flag SET stage = 'enabled', v1_writes = true WHERE name = 'messaging_v2'"

# As if a guard watched, always: without one, V2 is off.
LEASE = """
INSERT INTO rollout_guard_lease (id, holder, renewed_at) VALUES (1, 'bench', 'infinity')
ON CONFLICT (id) DO UPDATE SET renewed_at = 'infinity'
"""


def ensure_seeded(size: Size) -> None:
    """Make the database and fill it, unless that was done before."""
    if _is_made(size.database, _content(str(size))):
        return
    print(f"Filling the database of {size.conversations:,} conversations ...", flush=True)
    _ensure_migrated()
    _create(size.database, template=MIGRATED)
    _fill(size)
    _mark_as_made(size.database, _content(str(size)))


def _ensure_migrated() -> None:
    """Make the empty database that the filled ones are copies of."""
    if _is_made(MIGRATED, _content("empty")):
        return
    _create(MIGRATED, template="template1")
    with connect(connection_url(DATA_DIR, "superuser", MIGRATED)) as connection:
        grant_database(connection, database=MIGRATED, owner=ROLE_NAMES["owner"])
    run_python("manage.py", "migrate", "--verbosity", "0", database=MIGRATED, role="owner")
    _mark_as_made(MIGRATED, _content("empty"))


def run_python(*arguments: str, database: str, role: str = "web") -> str:
    """Run a program with the site's settings on one of the databases; return what it printed."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "BENCH_DATABASE": database,
        "DATABASE_URL": "",
        "DATABASE_ROLE": role,
        "DATA_DIR": str(DATA_DIR),
        "PYTHONPATH": str(PROJECT),
    }
    run = subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return run.stdout


def ensure_memory() -> None:
    """Let all that is measured fit into the server's shared buffers; it is started anew where it has less.

    With PostgreSQL's own 128 MB, meant for the smallest machine, twenty pages of each inbox come from the kernel's cache: a
    quarter of its CPU, and more where others use the machine's memory.
    """
    with _superuser() as connection:
        if connection.execute("SHOW shared_buffers").fetchone() == (SHARED_BUFFERS,):
            return
        connection.execute(sql.SQL("ALTER SYSTEM SET shared_buffers = {}").format(SHARED_BUFFERS))
    release(DATA_DIR)
    ensure_running(DATA_DIR)


def clear_writes(database: str) -> None:
    """Take back what starts and sign-ins left, and what counts towards rate limits; sent messages stay."""
    with connect(connection_url(DATA_DIR, "superuser", database), autocommit=True) as connection:
        # A member who has signed in very often loses the oldest token, which here is the one that the calls are made with.
        connection.execute("DELETE FROM knox_authtoken WHERE expiry < now() + interval '1 year'")
        connection.execute("TRUNCATE core_ratelimithit, inbox_notification")
        connection.execute("DELETE FROM conversations_v2 WHERE created_at > now() - interval '1 day'")
        begun = "(SELECT id FROM conversations WHERE updated_at > now() - interval '1 day')"
        for table, column in (
            ("messages", "conversation_id"),
            ("conversation_participants", "conversation_id"),
            ("conversations", "id"),
        ):
            connection.execute(f"DELETE FROM {table} WHERE {column} IN {begun}")


def _content(size: str) -> str:
    """Tell the state of the code and of this file: either change makes a database anew."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for migration in sorted(PROJECT.glob("*/migrations/0*.py")) + sorted(PROJECT.glob("*/*/migrations/0*.py")):
        digest.update(str(migration.relative_to(PROJECT)).encode())
    return f"{size} {digest.hexdigest()[:16]}"


def _is_made(database: str, content: str) -> bool:
    with _superuser() as connection:
        described = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        return connection.execute(described, [database]).fetchone() == (content,)


def _mark_as_made(database: str, content: str) -> None:
    with _superuser() as connection:
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), content))


def _create(database: str, *, template: str) -> None:
    names = [sql.Identifier(name) for name in (database, ROLE_NAMES["owner"], template)]
    with _superuser() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(names[0]))
        # A copy takes the grants inside the database along, and not those on it.
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*names))


def _superuser() -> Connection:
    return connect(connection_url(DATA_DIR, "superuser", "postgres"), autocommit=True)


def _hash_password() -> str:
    program = "import django; django.setup(); from django.contrib.auth.hashers import make_password as make; "
    return run_python("-c", f"{program}print(make({PASSWORD!r}))", database=MIGRATED).strip()


def _fill(size: Size) -> None:
    with connect(connection_url(DATA_DIR, "superuser", size.database), autocommit=True) as connection:
        fill(connection, size, password=_hash_password(), legacy=True)
        connection.execute("CHECKPOINT")


def fill(
    connection: Connection, size: Size, *, password: str, fresh: int = FRESH_REQUESTS, legacy: bool = False
) -> None:
    """Fill an empty, migrated database as a superuser; with `legacy`, the legacy tables as well.

    `password` is the hash of every member's.
    """
    values: dict[str, int | str] = {
        "password": f"'{password}'",
        "members": size.members,
        "conversations": size.conversations,
        "long_thread": size.long_thread,
        "many": size.many,
        "fresh": fresh,
    }
    with connection.transaction():
        # Foreign keys and triggers of ours hold by how the rows are made.
        connection.execute("SET LOCAL session_replication_role = replica")
        for script in (MEMBERS, CONVERSATIONS, LEGACY) if legacy else (MEMBERS, CONVERSATIONS):
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.execute(_filled_in(statement, values))
        connection.execute("SET LOCAL session_replication_role = origin")
        connection.execute(LEASE)
        connection.execute(STAGE)
    connection.execute("VACUUM ANALYZE")


def _filled_in(statement: str, values: Mapping[str, int | str]) -> bytes:
    return (statement % {name: str(value) for name, value in values.items()}).encode()
