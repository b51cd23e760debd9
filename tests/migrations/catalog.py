"""What a schema consists of, in words that can be compared."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

LEGACY_TABLES = (
    "conversations",
    "conversation_participants",
    "messages",
    "profiles",
    "help_requests",
    "messaging_preferences",
    "message_reports",
)

# Each yields (table, what, words). Positions are left out: a column dropped and added again stands last.
_QUERIES = (
    """
    SELECT c.relname, 'column', a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
      || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    """,
    """
    SELECT c.relname, 'constraint', o.conname || ' ' || pg_get_constraintdef(o.oid)
    FROM pg_class c JOIN pg_constraint o ON o.conrelid = c.oid AND o.contype <> 'n'
    WHERE c.relnamespace = 'public'::regnamespace
    """,
    "SELECT tablename, 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """
    SELECT c.relname, 'trigger', pg_get_triggerdef(t.oid) || t.tgenabled::text
    FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    WHERE c.relnamespace = 'public'::regnamespace
    """,
    """
    SELECT tablename, 'policy', format('%s %s %s %s (%s) (%s)', policyname, permissive, cmd, roles, qual, with_check)
    FROM pg_policies WHERE schemaname = 'public'
    """,
    """
    SELECT c.relname, 'security', format('%s, forced %s, owner %s', relrowsecurity, relforcerowsecurity, relowner::regrole)
    FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    """,
    """
    SELECT c.relname, 'grant', format('%s to %s', x.privilege_type, x.grantee::regrole)
    FROM pg_class c, aclexplode(c.relacl) x
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND x.grantee <> c.relowner
    """,
    """
    SELECT c.relname, 'grant', format('%s (%s) to %s', x.privilege_type, a.attname, x.grantee::regrole)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) x
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    """,
    """
    SELECT '', 'function', pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '')
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
    """,
    "SELECT '', 'type', typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')",
)

Catalog = frozenset[tuple[str, str, str]]


def describe(connection: psycopg.Connection[Any], tables: Sequence[str] | None = None) -> Catalog:
    """Return all that schema public consists of, or these tables alone."""
    rows = [row for query in _QUERIES for row in connection.execute(query.encode()).fetchall()]
    return frozenset(row for row in rows if tables is None or row[0] in tables)


def checksum_columns(connection: psycopg.Connection[Any]) -> Mapping[str, Sequence[str]]:
    """Return the columns of each legacy table, to checksum again when more have been added."""
    rows = connection.execute(
        "SELECT table_name, array_agg(column_name::text ORDER BY column_name) FROM information_schema.columns"
        " WHERE table_schema = 'public' GROUP BY table_name"
    ).fetchall()
    return {table: columns for table, columns in rows if table in LEGACY_TABLES}


def checksums(connection: psycopg.Connection[Any], columns: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Return what the rows of each legacy table come to, read past every policy."""
    found = {}
    for table, names in columns.items():
        row = ", ".join(f'"{name}"' for name in names)
        query = "SELECT count(*) || ' ' || md5(coalesce(string_agg(r::text, ';' ORDER BY r::text), ''))"
        answer = connection.execute(
            f"{query} FROM (SELECT ROW({row}) AS r FROM public.{table}) AS rows".encode()
        ).fetchone()
        found[table] = str(answer[0]) if answer else ""
    return found
