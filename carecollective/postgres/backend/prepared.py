"""Statements by hand, run without a cursor: prepared at their first use, and several in one round trip.

psycopg's pipeline costs three times the CPU of a round trip, and a cursor as much as a statement. These statements use the
layer below both: psycopg's `pq`, its conversion of values, and its waiting. See `docs/decisions/0044-statements-by-hand.md`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import psycopg
from psycopg import abc, generators
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

Values = Sequence[Any] | Mapping[str, Any] | None
Row = tuple[Any, ...]

_PLACEHOLDER = re.compile(r"%(?:%|s|\((\w+)\)s)")
_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Prepared(str):
    """A statement by hand that each connection prepares. Behind a pooler of transactions nothing is prepared.

    Cast each text that it returns (`title::text`): PostgreSQL refuses a prepared statement for good once a migration has changed
    the type of a column in its result. A cast keeps that type whatever becomes of the column.
    """

    __slots__ = ()


@dataclass(slots=True)
class _Statement:
    """A statement as a connection knows it, with values of these types. Its name is empty until it is prepared."""

    text: bytes
    types: Sequence[int]
    reader: abc.Transformer
    name: bytes = b""
    knows_columns: bool = False

    def rows(self, result: PGresult) -> list[Row]:
        """Return the rows of a result as Python's values."""
        # The types of its columns do not change while it is prepared.
        self.reader.set_pgresult(result, set_loaders=not self.knows_columns)
        self.knows_columns = bool(self.name)
        rows: list[Row] = self.reader.load_rows(0, result.ntuples, tuple)
        self.reader.set_pgresult(None, set_loaders=False)
        return rows


@dataclass(slots=True)
class _Call:
    """A statement with the values of one call. It is prepared first where it has a new name for that."""

    statement: _Statement
    values: Sequence[Buffer | None] | None
    formats: Sequence[Format] | None
    new_name: bytes = b""

    def send(self, pgconn: PGconn) -> None:
        known = self.statement
        if self.new_name:
            pgconn.send_prepare(self.new_name, known.text, param_types=known.types)
        name = self.new_name or known.name
        if name:
            pgconn.send_query_prepared(name, self.values, param_formats=self.formats)
        else:
            pgconn.send_query_params(known.text, self.values, param_types=known.types, param_formats=self.formats)

    def receive(self, pgconn: PGconn) -> PQGen[PGresult]:
        """Return the result, or the one that says why it could not be prepared."""
        if self.new_name:
            prepared = yield from _receive(pgconn)
            if prepared.status != ExecStatus.COMMAND_OK:
                yield from _receive(pgconn)
                return prepared
            self.statement.name = self.new_name
        return (yield from _receive(pgconn))


class StatementRunner:
    """Runs statements by hand on one connection. With `prepares`, those that are marked are prepared."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepares: bool) -> None:
        self.connection = connection
        self._prepares = prepares
        self._converter: abc.Transformer = Transformer(connection)
        self._known: dict[tuple[str, Sequence[int]], _Statement] = {}
        self._names = count(1)

    def run(self, asked: Sequence[tuple[str, Values]], *, may_fail: int = 0) -> list[list[Row]]:
        """Run statements in one round trip and return the rows of each. Each sees what was committed before it began.

        Outside a transaction all are one: PostgreSQL makes one of what comes in a pipeline. Raises psycopg.Error. Where one of
        the last `may_fail` statements fails, none of these has rows.
        """
        calls = [self._call(statement, values) for statement, values in asked]
        with self.connection.lock:
            results = self.connection.wait(self._exchange(calls))
        needed = len(calls) - may_fail
        for place, result in enumerate(results):
            if result.status not in _DONE:
                if place < needed:
                    raise error_from_result(result)
                results = results[:needed]
                break
        return [call.statement.rows(result) for call, result in zip(calls, results, strict=False)]

    def _call(self, statement: str, values: Values) -> _Call:
        given = formats = None
        types: Sequence[int] = ()
        if values is not None:
            names = _numbered(statement)[1]
            ordered = [values[name] for name in names] if isinstance(values, Mapping) else values
            given = self._converter.dump_sequence(ordered, [PyFormat.AUTO] * len(ordered))
            types, formats = self._converter.types or (), self._converter.formats
        is_kept = self._prepares and isinstance(statement, Prepared)
        known = self._known.get((statement, types)) if is_kept else None
        if known is None:
            text = statement.encode() if values is None else _numbered(statement)[0]
            known = _Statement(text, types, Transformer(self.connection))
            if is_kept:
                self._known[statement, types] = known
        return _Call(known, given, formats, b"by_hand_%d" % next(self._names) if is_kept and not known.name else b"")

    def _exchange(self, calls: Sequence[_Call]) -> PQGen[list[PGresult]]:
        if len(calls) == 1 and not calls[0].new_name:
            calls[0].send(self.connection.pgconn)
            results: list[PGresult] = yield from generators.execute(self.connection.pgconn)
            return results
        return (yield from self._exchange_at_once(calls))

    def _exchange_at_once(self, calls: Sequence[_Call]) -> PQGen[list[PGresult]]:
        pgconn = self.connection.pgconn
        pgconn.enter_pipeline_mode()
        try:
            for call in calls:
                call.send(pgconn)
            pgconn.pipeline_sync()
            yield from generators.send(pgconn)
            results = []
            for call in calls:
                result = yield from call.receive(pgconn)
                results.append(result)
            yield from _receive(pgconn)
        finally:
            _leave_pipeline(pgconn)
        return results


def _receive(pgconn: PGconn) -> PQGen[PGresult]:
    """Return the next result of a pipeline. Raises OperationalError where none comes any more."""
    results: list[PGresult] = yield from generators.fetch_many(pgconn)
    if not results:
        raise psycopg.OperationalError("The connection was lost.")
    return results[0]


def _leave_pipeline(pgconn: PGconn) -> None:
    """End the pipeline. A connection with answers still to come is of no use any more, and is closed."""
    if pgconn.status == ConnStatus.OK:
        try:
            pgconn.exit_pipeline_mode()
        except psycopg.OperationalError:
            pgconn.finish()


@lru_cache(maxsize=500)
def _numbered(statement: str) -> tuple[bytes, Sequence[str]]:
    """Return the statement with `$1`, `$2` as its placeholders, and the names that they had, in this order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        name = found[1] or f"%{len(names)}"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PLACEHOLDER.sub(number, statement).encode(), names
