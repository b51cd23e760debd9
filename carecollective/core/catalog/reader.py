"""Reads everything in a live database's catalogue that decides who may read or write."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from carecollective.core.catalog.snapshot import DatabaseSnapshot, Facts, load_snapshot

_FACTS = Path(__file__).with_name("facts.sql").read_text()
_HIDE_SCHEMAS = "SELECT current_setting('search_path'), set_config('search_path', '', true)"
_SHOW_SCHEMAS = "SELECT set_config('search_path', %s, true)"


class Executes(Protocol):
    """A cursor of psycopg's or of Django's."""

    def execute(self, query: Any, params: Any = None, /) -> Any: ...

    def fetchall(self) -> list[Any]: ...


@dataclass(frozen=True)
class LiveCatalog:
    """The facts of a live database, and those that it should have. Names are quoted for SQL.

    `made_here`: no legacy database was taken over.
    """

    facts: Facts
    owner: str
    database: str
    made_here: bool

    @property
    def snapshot(self) -> DatabaseSnapshot:
        return load_snapshot()

    @cached_property
    def expected(self) -> Facts:
        return self.snapshot.expected(made_here=self.made_here)


def read_live_catalog(cursor: Executes) -> LiveCatalog:
    """Read the facts, in the caller's transaction. Any role may."""
    # With an empty search path PostgreSQL adds the schema to each name, so that a function elsewhere cannot pass as ours.
    cursor.execute(_HIDE_SCHEMAS)
    search_path = cursor.fetchall()[0][0]
    cursor.execute(_FACTS)
    facts: dict[str, dict[str, str]] = defaultdict(dict)
    for part, name, value in cursor.fetchall():
        facts[part][name] = value
    cursor.execute(_SHOW_SCHEMAS, [search_path])
    site = facts.pop("Site")
    return LiveCatalog(facts=dict(facts), owner=site["owner"], database=site["database"], made_here="made here" in site)
