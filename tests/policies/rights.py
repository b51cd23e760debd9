"""Which of the web role's rights the application's own statements need: PostgreSQL itself is asked, right by right.

The statements are recorded while the site is used. Then each right is taken away in a transaction that is rolled back, and
every recorded statement is planned again as the web role: EXPLAIN checks all rights that running it would, those of the
policies too. A right that no statement misses is not used.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import psycopg
from psycopg import sql

from carecollective.postgres.backend.prepared import StatementRunner
from tests.policies.probe import DENIED

Parameters = Any


@dataclass(slots=True)
class Recording:
    """Each statement that was seen, by its text, with the first values that came with it."""

    statements: dict[str, Parameters] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record what every connection of this process executes within the block, Django's and others'."""
        with _patched("execute", self._note), _patched("executemany", self._note_many), self._by_hand():
            yield

    @contextmanager
    def _by_hand(self) -> Iterator[None]:
        """Record what the runner of statements by hand executes, without cursors."""
        run = StatementRunner.run

        def noted(runner: StatementRunner, asked: Sequence[tuple[str, Any]], **more: Any) -> Any:
            for statement, values in asked:
                # EXPLAIN takes neither.
                if not statement.startswith(("BEGIN", "COMMIT")):
                    self._note(statement, values)
            return run(runner, asked, **more)

        StatementRunner.run = noted  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            StatementRunner.run = run  # type: ignore[method-assign]

    def _note(self, query: Any, values: Parameters = None) -> None:
        text = query.decode() if isinstance(query, bytes) else query
        if isinstance(text, sql.Composable):
            text = text.as_string(None)
        self.statements.setdefault(text, values)

    def _note_many(self, query: Any, sequence: Iterable[Parameters] = ()) -> None:
        for values in list(sequence)[:1]:
            self._note(query, values)


@contextmanager
def _patched(name: str, note: Callable[..., None]) -> Iterator[None]:
    original = getattr(psycopg.Cursor, name)

    @wraps(original)
    def execute(cursor: Any, query: Any, values: Any = None, *args: Any, **options: Any) -> Any:
        if name == "executemany":
            values = list(values)
        note(query, values)
        return original(cursor, query, values, *args, **options)

    setattr(psycopg.Cursor, name, execute)
    try:
        yield
    finally:
        setattr(psycopg.Cursor, name, original)


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One right of the web role. An UPDATE is one right for each column, however it was granted."""

    kind: str
    on: str
    column: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.on}" + (f".{self.column}" if self.column else "")


_TABLES = """
SELECT c.relname, x.privilege_type FROM pg_class c, aclexplode(c.relacl) x
WHERE x.grantee = 'carecollective_web'::regrole AND c.relnamespace = 'public'::regnamespace
"""
_COLUMNS = """
SELECT c.relname, x.privilege_type, a.attname FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attnum > 0, aclexplode(a.attacl) x
WHERE x.grantee = 'carecollective_web'::regrole AND c.relnamespace = 'public'::regnamespace
"""
_ALL_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = ('public.' || %s)::regclass AND attnum > 0 AND NOT attisdropped
"""
_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(p.proacl) x
WHERE x.grantee = 'carecollective_web'::regrole AND p.pronamespace = 'public'::regnamespace
"""


def granted(superuser: "psycopg.Connection[Any]") -> Mapping[Right, str]:
    """Return every right that the web role holds, with the statements that take it away and nothing else."""
    found: dict[Right, str] = {}
    for table, kind in superuser.execute(_TABLES).fetchall():
        revoke = f"REVOKE {kind} ON public.{table} FROM carecollective_web;"
        if kind != "UPDATE":
            found[Right(kind, table)] = revoke
            continue
        columns = [name for (name,) in superuser.execute(_ALL_COLUMNS, [table]).fetchall()]
        for column in columns:
            others = ", ".join(f'"{other}"' for other in columns if other != column)
            kept = f"GRANT UPDATE ({others}) ON public.{table} TO carecollective_web;" if others else ""
            found[Right(kind, table, column)] = revoke + kept
    for table, kind, column in superuser.execute(_COLUMNS).fetchall():
        found[Right(kind, table, column)] = f'REVOKE {kind} ("{column}") ON public.{table} FROM carecollective_web;'
    for (signature,) in superuser.execute(_FUNCTIONS).fetchall():
        revoke = f"REVOKE EXECUTE ON FUNCTION public.{signature} FROM carecollective_web, PUBLIC;"
        found[Right("EXECUTE", signature.partition("(")[0])] = revoke
    return found


def unused(
    superuser: "psycopg.Connection[Any]", recorded: Mapping[str, Parameters], rights: Mapping[Right, str]
) -> list[Right]:
    """Return those of the rights that no recorded statement needs. `superuser` is a connection to a migrated database."""
    explainable = [(text, values) for text, values in recorded.items() if _explain(superuser, text, values) == ""]
    left = []
    for right, revoke in sorted(rights.items()):
        # Those that name the table come first; a policy may need it for a statement that does not.
        ordered = sorted(explainable, key=lambda statement: right.on not in statement[0])
        with superuser.transaction(force_rollback=True):
            superuser.execute(revoke.encode())
            if not any(_explain(superuser, text, values) == DENIED for text, values in ordered):
                left.append(right)
    return left


def _explain(superuser: "psycopg.Connection[Any]", text: str, values: Parameters) -> str:
    """Plan the statement as the web role; return the SQLSTATE of its error, or ""."""
    try:
        with superuser.transaction(force_rollback=True):
            superuser.execute("SET LOCAL ROLE carecollective_web")
            superuser.execute(f"EXPLAIN {text}".encode(), values)
    except psycopg.Error as refusal:
        return refusal.sqlstate or type(refusal).__name__
    return ""
