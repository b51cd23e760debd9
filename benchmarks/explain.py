"""Read what a statement costs in rows, as PostgreSQL says after running it: EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import sql

from carecollective.postgres.roles import Connection

# A smaller table fits into a few pages: reading all of it costs less than a look into its index.
LARGE_TABLE_ROWS = 1_000
_TYPES = {UUID: "uuid", datetime: "timestamptz", timedelta: "interval", int: "integer", bool: "boolean"}
_SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Sample Scan", "Tid Scan"}
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%s|%%")


@dataclass(frozen=True, slots=True)
class Access:
    """One access to a table in a plan."""

    table: str
    how: str
    rows: int  # what was read, also what a filter then removed
    is_large: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """The rows of a statement, and how it came by them."""

    returned: list[tuple[Any, ...]]
    accesses: tuple[Access, ...]

    @property
    def rows_read(self) -> int:
        """The rows that were read of large tables."""
        return sum(access.rows for access in self.accesses if access.is_large)

    @property
    def sequential_scans(self) -> list[str]:
        """The large tables that were read from one end to the other."""
        return sorted({access.table for access in self.accesses if access.is_large and access.how == "Seq Scan"})


def explain(connection: Connection, statement: str, values: Mapping[str, Any], *, is_generic: bool) -> Explained:
    """Run a statement, take it back, and run it again for its plan. The caller's transaction stays as it was.

    `is_generic`: as a connection that has asked it often plans it, for all values alike.
    """
    text, ordered = _numbered(statement, values)
    mode = "force_generic_plan" if is_generic else "force_custom_plan"
    connection.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
    types = [_TYPES.get(type(value), "unknown") for value in ordered]
    connection.execute(f"PREPARE explained ({', '.join(types)}) AS {text}".encode())
    try:
        call = sql.SQL("EXECUTE explained ({})").format(sql.SQL(", ").join(map(sql.Literal, ordered)))
        with connection.transaction(force_rollback=True):
            returned = connection.execute(call).fetchall()
        with connection.transaction(force_rollback=True):
            ((plan,),) = connection.execute(
                sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}").format(call)
            ).fetchall()
    finally:
        connection.execute("DEALLOCATE explained")
    return Explained(returned, tuple(_accesses(plan[0]["Plan"], _large_tables(connection))))


def rows_of(plan: Mapping[str, Any], table: str) -> int:
    """Return how many rows of a table a plan has read."""
    return sum(access.rows for access in _accesses(plan, frozenset()) if access.table == table)


def _large_tables(connection: Connection) -> frozenset[str]:
    large = "SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= %s"
    return frozenset(name for (name,) in connection.execute(large, [LARGE_TABLE_ROWS]).fetchall())


def _accesses(node: Mapping[str, Any], large: frozenset[str]) -> Iterator[Access]:
    if node["Node Type"] in _SCANS:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = round((node["Actual Rows"] + removed) * node["Actual Loops"])
        yield Access(node["Relation Name"], node["Node Type"], rows, node["Relation Name"] in large)
    for child in node.get("Plans", ()):
        yield from _accesses(child, large)


def _numbered(statement: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the statement with $1, $2, … for its placeholders, and the values in that order."""
    names: list[str] = []
    unnamed = iter(values)

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        name = found[1] or next(unnamed)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PLACEHOLDER.sub(number, statement), [values[name] for name in names]
