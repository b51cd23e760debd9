"""The legacy tables and columns that the site uses: do they exist, with types that it can read and write?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from carecollective.core.catalog.snapshot import load_snapshot
from carecollective.core.database import fetch_all
from carecollective.help_requests.models import Category, RequestStatus, Urgency
from carecollective.takeover.preflight.findings import PreflightFinding

UUID, TEXT, MOMENT, YES_NO, CLOCK = "uuid", "text", "timestamp with time zone", "boolean", "time without time zone"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the site needs of a column.

    `added`: a migration adds it if it is missing. `nullable`: the site leaves it empty in its own rows. `size`: the most
    characters that the site writes. `compared`: values that its statements compare with; an enumerated type must have them.
    `written`: values that it writes; constraints must allow them.
    """

    type: str
    added: bool = False
    nullable: bool = False
    size: int = 0
    compared: Sequence[str] = ()
    written: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A column as it is. `category` is PostgreSQL's type category, `words` the values of an enumerated type."""

    type: str
    category: str
    size: int | None
    words: Sequence[str] | None
    is_required: bool
    default: str
    number: int


COLUMNS: Mapping[str, Mapping[str, Wanted]] = {
    "auth.users": {
        "id": Wanted(UUID),
        "email": Wanted(TEXT),
        "encrypted_password": Wanted(TEXT),
        "created_at": Wanted(MOMENT),
    },
    "public.profiles": {
        "id": Wanted(UUID),
        "name": Wanted(TEXT, size=100),
        "location": Wanted(TEXT, added=True, nullable=True, size=100),
        "is_admin": Wanted(YES_NO, added=True),
        "is_beta_tester": Wanted(YES_NO, added=True),
        "email_confirmed": Wanted(YES_NO, added=True),
        "verification_status": Wanted(
            TEXT, compared=("pending", "approved", "rejected"), written=("pending", "approved", "rejected")
        ),
        "application_reason": Wanted(TEXT, added=True, nullable=True, size=500),
        "rejection_reason": Wanted(TEXT, added=True, nullable=True, size=500),
        "approved_at": Wanted(MOMENT, added=True, nullable=True),
        "approved_by": Wanted(UUID, added=True, nullable=True),
        "created_at": Wanted(MOMENT, added=True),
    },
    "public.messaging_preferences": {
        "user_id": Wanted(UUID),
        "email_notifications": Wanted(YES_NO, added=True),
        "quiet_hours_start": Wanted(CLOCK, added=True, nullable=True),
        "quiet_hours_end": Wanted(CLOCK, added=True, nullable=True),
        "updated_at": Wanted(MOMENT, added=True),
    },
    "public.help_requests": {
        "id": Wanted(UUID),
        "user_id": Wanted(UUID),
        "title": Wanted(TEXT, size=120),
        "description": Wanted(TEXT, added=True, nullable=True, size=2000),
        "category": Wanted(TEXT, added=True, compared=Category.values, written=Category.values),
        "urgency": Wanted(TEXT, added=True, compared=Urgency.values, written=Urgency.values),
        "status": Wanted(TEXT, compared=RequestStatus.values, written=("open", "completed", "cancelled", "closed")),
        "completed_at": Wanted(MOMENT, added=True, nullable=True),
        "cancelled_at": Wanted(MOMENT, added=True, nullable=True),
        "is_ongoing": Wanted(YES_NO, added=True),
        "expires_at": Wanted(MOMENT, added=True, nullable=True),
        "created_at": Wanted(MOMENT, added=True),
        "updated_at": Wanted(MOMENT, added=True),
    },
    "public.conversations": {
        "id": Wanted(UUID),
        "help_request_id": Wanted(UUID),
        "created_by": Wanted(UUID),
        "title": Wanted(TEXT, nullable=True),
        "status": Wanted(TEXT, compared=("active", "closed", "blocked"), written=("active",)),
        "created_at": Wanted(MOMENT),
        "updated_at": Wanted(MOMENT),
        "last_message_at": Wanted(MOMENT),
    },
    "public.conversation_participants": {
        "conversation_id": Wanted(UUID),
        "user_id": Wanted(UUID),
        "joined_at": Wanted(MOMENT),
        "left_at": Wanted(MOMENT, nullable=True),
        "role": Wanted(TEXT, compared=("member",), written=("member",)),
    },
    "public.messages": {
        "id": Wanted(UUID),
        "conversation_id": Wanted(UUID),
        "sender_id": Wanted(UUID),
        "recipient_id": Wanted(UUID),
        "help_request_id": Wanted(UUID, nullable=True),
        "content": Wanted(TEXT, size=1000),
        "message_type": Wanted(TEXT, compared=("text",), written=("text",)),
        "status": Wanted(TEXT, compared=("sent",), written=("sent",)),
        "read_at": Wanted(MOMENT, nullable=True),
        "is_flagged": Wanted(YES_NO),
        "flagged_reason": Wanted(TEXT, nullable=True),
        "moderation_status": Wanted(TEXT, nullable=True, compared=("hidden", "removed")),
        "created_at": Wanted(MOMENT),
        "updated_at": Wanted(MOMENT),
        "deleted_at": Wanted(MOMENT, nullable=True),
    },
}
# The tables that the web role reads or writes.
TABLES = tuple(table.removeprefix("public.") for table in COLUMNS if table.startswith("public."))
# Each of the three V1 tables is taken as it is or made together with the other two.
NEEDED = (
    ("auth", "users"),
    *(("public", table) for table in ("profiles", "conversations", "conversation_participants", "messages")),
)
# Columns that the site leaves to the database: they must have this default.
LEFT_TO_DEFAULTS = {"public.conversation_participants": {"role": "member"}}
PRIMARY_KEYS = {
    "public.profiles": "id",
    "public.help_requests": "id",
    "public.conversations": "id",
    "public.messages": "id",
    "public.messaging_preferences": "user_id",
}

_FOUND = """
SELECT a.attname, format_type(a.atttypid, NULL), CASE WHEN base.oid IS NULL THEN t.typcategory ELSE base.typcategory END,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END,
       CASE WHEN t.typtype = 'e' THEN ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid) END,
       a.attnotnull, CASE WHEN a.attidentity <> '' OR a.attgenerated <> '' THEN 'generated'
         ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), '') END, a.attnum
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type base ON t.typtype = 'd' AND base.oid = t.typbasetype
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
_CHECKS = """
SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint
WHERE conrelid = to_regclass(%s) AND contype = 'c' AND conkey = ARRAY[%s::smallint]
"""
_IS_UNIQUE = """
SELECT EXISTS (
  SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = %s
  WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
"""


def find_missing_tables() -> Iterator[PreflightFinding]:
    """Look for the tables by schema and name."""
    there = set(fetch_all("SELECT schemaname, tablename FROM pg_tables"))
    for schema, table in NEEDED:
        if (schema, table) not in there:
            yield PreflightFinding(
                problem=f"The table {schema}.{table} of the legacy database is missing.",
                remedy=f"Restore the schema {schema} of the legacy dump into this database, and run the check again.",
            )


def find_unsuitable_columns() -> Iterator[PreflightFinding]:
    """Check each column that the site uses, and look for required columns that it does not know."""
    for table, wanted in COLUMNS.items():
        found = read_columns(table)
        if not found:
            continue  # find_missing_tables reports it
        for name, column in wanted.items():
            if name in found:
                yield from _compare(table, name, column, found[name])
            elif not column.added:
                yield _missing(table, name, column)
        if table.startswith("public."):
            yield from _find_columns_to_fill(table, found, wanted)
        if (key := PRIMARY_KEYS.get(table)) and not fetch_all(_IS_UNIQUE, [key, table])[0][0]:
            yield PreflightFinding(
                f"The column {table}.{key} is no primary key.",
                f"As the owner: ALTER TABLE {table} ADD PRIMARY KEY ({key});",
            )


def find_requests_without_owner() -> Iterator[PreflightFinding]:
    """Look for requests without an owner among the members: no page could show them."""
    if not {"user_id"} <= read_columns("public.help_requests").keys() or not read_columns("public.profiles"):
        return
    nobodys = "NOT EXISTS (SELECT FROM public.profiles p WHERE p.id::text = r.user_id::text)"
    ((count,),) = fetch_all(f"SELECT count(*) FROM public.help_requests r WHERE {nobodys}")  # noqa: S608 -- our own text
    if count:
        yield PreflightFinding(
            f"Of public.help_requests, {count} rows name in user_id nobody who is in public.profiles.",
            f"As the owner, give them an owner or delete them: DELETE FROM public.help_requests r WHERE {nobodys};",  # noqa: S608
        )


def read_columns(table: str) -> Mapping[str, Found]:
    """Return the columns of a table, by name; none if there is no such table."""
    return {row[0]: Found(*row[1:]) for row in fetch_all(_FOUND, [table])}


def _missing(table: str, name: str, column: Wanted) -> PreflightFinding:
    default = f" DEFAULT '{column.written[0]}'" if column.written and name != "verification_status" else ""
    if name == "verification_status":
        remedy = (
            f"As the owner, say whose membership counts: ALTER TABLE {table} ADD COLUMN {name} text DEFAULT 'approved';"
        )
    else:
        remedy = f"As the owner: ALTER TABLE {table} ADD COLUMN {name} {column.type}{default};"
    return PreflightFinding(f"The column {table}.{name} ({column.type}) is missing.", remedy)


def _compare(table: str, name: str, column: Wanted, found: Found) -> Iterator[PreflightFinding]:
    fits = found.category in "SE" if column.type == TEXT else found.type == column.type
    if not fits:
        yield _other_type(table, name, column, found)
        return
    if column.nullable and found.is_required:
        yield PreflightFinding(
            f"The column {table}.{name} ({found.type}) must not be empty, and the site leaves it so.",
            f"As the owner: ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL;",
        )
    if found.words is not None:
        for word in column.compared:
            if word not in found.words:
                yield PreflightFinding(
                    f"The column {table}.{name} is of the type {found.type}, which has no '{word}'.",
                    f"As its owner: ALTER TYPE {found.type} ADD VALUE '{word}';",
                )
        return
    if found.size is not None and found.size < max([column.size, *map(len, column.written)]):
        yield PreflightFinding(
            f"The column {table}.{name} ({found.type}) takes {found.size} characters, and the site writes more.",
            f"As the owner: ALTER TABLE {table} ALTER COLUMN {name} TYPE text;",
        )
    else:
        yield from _find_checks_in_the_way(table, name, column, found)


def _find_checks_in_the_way(table: str, name: str, column: Wanted, found: Found) -> Iterator[PreflightFinding]:
    written = [*column.written, *(["x" * column.size] if column.size else [])]
    if not written:
        return
    quote = connection.ops.quote_name
    for check, condition in fetch_all(_CHECKS, [table, found.number]):
        values = f"SELECT unnest(%s::text[])::{found.type} AS {quote(name)}"
        # Names and conditions come from the catalogue. The rehearsal covers constraints on several columns.
        kept = condition.replace("%", "%%")
        query = f"SELECT {quote(name)}::text FROM ({values}) v WHERE NOT ({kept})"  # noqa: S608
        refused = fetch_all(query, [written])
        if refused:
            words = ", ".join(
                f"'{word}'" if word in column.written else f"{column.size} characters" for (word,) in refused
            )
            yield PreflightFinding(
                f"The check {check} on {table}.{name} does not let the site write {words}.",
                f"As the owner: ALTER TABLE {table} DROP CONSTRAINT {quote(check)};",
            )


def _other_type(table: str, name: str, column: Wanted, found: Found) -> PreflightFinding:
    match column.type:
        case "boolean":
            using = f"{name} <> 0" if found.category == "N" else f"{name}::text::boolean"
        case "timestamp with time zone" if found.type == "timestamp without time zone":
            using = f"{name} AT TIME ZONE 'UTC'"
        case _:
            using = f"{name}::text::{column.type}"
    change = (
        f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} TYPE {column.type} USING {using};"
    )
    why = ""
    if column.type == UUID:
        why = " together with each column that refers to it; keys, policies and views that use them must be made again afterwards"
    elif "AT TIME ZONE" in using:
        why = ", with the time zone that the legacy system meant"
    return PreflightFinding(
        f"The column {table}.{name} is of the type {found.type}, and the site needs {column.type}.",
        f"As the owner{why}: {change}",
    )


def _find_columns_to_fill(
    table: str, found: Mapping[str, Found], wanted: Mapping[str, Wanted]
) -> Iterator[PreflightFinding]:
    for name, column in found.items():
        is_ours = f"{table.removeprefix('public.')}.{name}" in load_snapshot().ours["Columns"]
        if name not in wanted and not is_ours and column.is_required and not column.default:
            yield PreflightFinding(
                f"The column {table}.{name} ({column.type}) must be filled, and the site does not know it.",
                f"As the owner: ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL;",
            )
    for name, default in LEFT_TO_DEFAULTS.get(table, {}).items():
        if name in found and not found[name].default.startswith(f"'{default}'"):
            yield PreflightFinding(
                f"The column {table}.{name} has no default '{default}', and the site leaves it to that.",
                f"As the owner: ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT '{default}';",
            )
