"""The database connection: as which member, as which role, directly, and its clock."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import JSONObject

from carecollective.postgres import pooling
from carecollective.postgres.backend.base import DatabaseWrapper
from carecollective.postgres.backend.prepared import Prepared
from carecollective.postgres.dsn import database_settings

Model = TypeVar("Model", bound=models.Model)
Values = Sequence[Any] | Mapping[str, Any] | None
_ACT = Prepared("SELECT set_config('app.user_id', %s, true)")


class Member(Protocol):
    @property
    def pk(self) -> UUID: ...


_acting: ContextVar[UUID | None] = ContextVar("acting_member", default=None)


@contextmanager
def acting_as(member: Member) -> Iterator[None]:
    """Run one transaction as `member`: row-level security shows and allows what this member may.

    The setting ends with the transaction (`set_config(…, true)`), so no later request on the connection inherits it. Nested
    for the same member, it does nothing.
    """
    if _acting.get() == member.pk and connection.in_atomic_block:
        yield
        return
    within = connection.in_atomic_block
    before = _acting.get()
    with transaction.atomic():
        if within:
            _set_actor(str(member.pk))
        else:
            # The id is a UUID, so that nothing else can stand in the statement.
            _wrapper().execute_first(f"SELECT set_config('app.user_id', '{UUID(str(member.pk))}', true)")
        token = _acting.set(member.pk)
        try:
            yield
        finally:
            _acting.reset(token)
        if within:
            _set_actor(str(before or ""))


@contextmanager
def discarding_changes() -> Iterator[None]:
    """Run the block in a transaction, or a savepoint of the caller's, and roll it back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _set_actor(value: str) -> None:
    execute(_ACT, [value])


def execute(statement: str, values: Values = None) -> int:
    """Run a statement on Django's connection; return how many rows it concerned."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def fetch_all(query: str, values: Values = None) -> list[tuple[Any, ...]]:
    """Return every row of a query on Django's connection."""
    return _wrapper().fetch(query, values)


def fetch_one(query: str, values: Values = None) -> tuple[Any, ...] | None:
    """Return the first row of a query on Django's connection; None when there is none."""
    rows = _wrapper().fetch(query, values)
    return rows[0] if rows else None


def fetch_second(first: str, first_values: Values, second: str, values: Values = None) -> list[tuple[Any, ...]]:
    """Run two statements in one round trip, and return every row of the second, which begins when the first has ended."""
    return _wrapper().fetch_second(first, first_values, second, values)


def fetch_all_as(member: Member, query: str, values: Values = None) -> list[tuple[Any, ...]]:
    """Return every row of one query as `member`: in the transaction of `acting_as`, else in its own, in one round trip."""
    if not connection.in_atomic_block:
        return fetch_second(_ACT, [str(member.pk)], query, values)
    with acting_as(member):
        return fetch_all(query, values)


def fetch_one_as(member: Member, query: str, values: Values = None) -> tuple[Any, ...] | None:
    """Return the first row of one query as `member`, as `fetch_all_as` does."""
    rows = fetch_all_as(member, query, values)
    return rows[0] if rows else None


def _wrapper() -> DatabaseWrapper:
    return cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS])


def row_as_json(*columns: str) -> JSONObject:
    """Return an expression for rows of a subquery, which `model_from_json` makes models of."""
    return JSONObject(**{column: column for column in columns})


def model_from_json(model: type[Model], row: Mapping[str, Any]) -> Model:
    """Return the model that a row in JSON stands for."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    return model(**{column: fields[column].to_python(value) for column, value in row.items()})


@contextmanager
def connected_as(url: str) -> Iterator[None]:
    """Use the URL's database role on this thread's connection for the block. Not inside a transaction."""
    # Threads share the dictionary, so this thread's connection gets its own.
    before = connection.settings_dict
    login = database_settings(url)
    connection.close()
    connection.settings_dict = {**before, "USER": login["USER"], "PASSWORD": login["PASSWORD"]}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before


def direct_connection() -> BaseDatabaseWrapper:
    """Make a connection without a pooler, beside Django's own: its locks and settings last until it closes."""
    shared = connections[DEFAULT_DB_ALIAS].settings_dict
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    own.settings_dict = {**shared, **shared.get("DIRECT", {})}
    return own


def refuse_shared_sessions() -> None:
    """Raise PostgresError, with the remedy, if a pooler shares the sessions of direct connections.

    Raises django.db.Error without a database.
    """

    def connect() -> psycopg.Connection[Any]:
        own = direct_connection()
        own.ensure_connection()
        opened: psycopg.Connection[Any] = own.connection
        return opened

    with connection.wrap_database_errors:
        pooling.refuse_shared_sessions(connect)


def read_clock() -> datetime:
    """Return the time by the database's clock, which all hosts share."""
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    return cast("datetime", now)


class ClockTimestamp(models.Func):
    """The database's clock at this statement. `Now()` is the start of the transaction, before it waited for locks."""

    function = "clock_timestamp"
    output_field = models.DateTimeField()
