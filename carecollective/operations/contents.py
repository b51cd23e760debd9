"""Row counts and checksums of a database, to compare with a copy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psycopg import sql

from carecollective.operations.connections import Session

Say = Callable[[str], None]

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2
"""
# The text form of rows depends on these.
_SETTINGS = (
    *("SET LOCAL TIME ZONE 'UTC'", "SET LOCAL datestyle = 'ISO, YMD'", "SET LOCAL intervalstyle = 'postgres'"),
    *("SET LOCAL extra_float_digits = 1", "SET LOCAL bytea_output = 'hex'", "SET LOCAL row_security = off"),
)
# A sum of digests does not depend on the order, so a large table is read once and never sorted.
_CHECKSUM = """
SELECT count(*), coalesce(sum(('x' || left(digest, 16))::bit(64)::bigint), 0),
  coalesce(sum(('x' || right(digest, 16))::bit(64)::bigint), 0)
FROM (SELECT md5(t::text) AS digest FROM {} AS t) AS row
"""
_SEQUENCES = "SELECT schemaname || '.' || sequencename, coalesce(last_value, 0) FROM pg_sequences ORDER BY 1"


@dataclass(frozen=True, slots=True)
class TableContents:
    rows: int
    checksum: str


def read_contents(session: Session, *, say: Say) -> Mapping[str, TableContents]:
    """Return row count and checksum of every table, in the session's transaction. Its role may read everything."""
    found: dict[str, TableContents] = {}
    tables = session.execute(_TABLES).fetchall()
    for number, (schema, table) in enumerate(tables, start=1):
        say(f"Checksums: {number} of {len(tables)} tables")
        found[f"{schema}.{table}"] = read_table(session, schema, table)
    return found


def read_table(session: Session, schema: str, table: str) -> TableContents:
    """Return one table's row count and checksum, in the session's transaction."""
    for statement in _SETTINGS:
        session.execute(statement)
    row = session.execute(sql.SQL(_CHECKSUM).format(sql.Identifier(schema, table))).fetchone()
    rows, *sums = row or (0, 0, 0)
    return TableContents(rows, "".join(f"{int(part) % 2**64:016x}" for part in sums))


def read_sequences(session: Session) -> Mapping[str, int]:
    return dict(session.execute(_SEQUENCES).fetchall())
