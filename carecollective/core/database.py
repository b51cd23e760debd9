"""The database connection: as which member, as which role, directly, and its clock."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.base import ModelState
from django.db.models.functions import JSONObject

from carecollective.postgres import pooling
from carecollective.postgres.backend.base import ACT, DatabaseWrapper
from carecollective.postgres.dsn import database_settings

Model = TypeVar("Model", bound=models.Model)
Values = Sequence[Any] | Mapping[str, Any] | None


class Member(Protocol):
    @property
    def pk(self) -> UUID: ...


_acting: ContextVar[UUID | None] = ContextVar("acting_member", default=None)


@contextmanager
def acting_as(member: Member, *, commits_with_last: bool = False) -> Iterator[None]:
    """Run one transaction as `member`: row-level security shows and allows what this member may.

    The setting ends with the transaction (`set_config(…, true)`), so no later request on the connection inherits it. Nested
    for the same member, it does nothing. With `commits_with_last`, `fetch_last` commits what this block has done: the block asks
    the database nothing after it.
    """
    wrapper = _wrapper()
    within = wrapper.in_atomic_block
    before = _acting.get()
    if within and before == member.pk:
        yield
        return
    with transaction.atomic():
        if within:
            _set_actor(str(member.pk))
        else:
            wrapper.begin_as(str(member.pk), commits_with_last=commits_with_last)
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
    fetch_one(ACT, [value])


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


def fetch_last(query: str, values: Values = None) -> list[tuple[Any, ...]]:
    """Return every row of a transaction's last statement. Where `acting_as` allows it, this commits in the same round trip.

    So where the caller refuses because of what the rows say, the statement must have written nothing.
    """
    return _wrapper().fetch_last(query, values)


def fetch_last_and_next(
    member: Member, last: tuple[str, Values], query: str, values: Values = None
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]] | None]:
    """Return every row of a transaction's last statement, as `fetch_last` does, and of one query as `member` after it.

    None for the query where it fails, or where nothing is committed here: then ask it by itself.
    """
    rows, found = _wrapper().fetch_last_and_next(last, (ACT, [str(member.pk)]), (query, values))
    return rows, found[1] if found else None


def fetch_each(*asked: tuple[str, Values]) -> list[list[tuple[Any, ...]]]:
    """Run statements in one round trip, and return the rows of each. A statement begins when the one before it has ended."""
    return _wrapper().fetch_each(*asked)


def fetch_ahead(*asked: tuple[str, Values]) -> Callable[[], list[list[tuple[Any, ...]]]]:
    """Let statements go ahead of the next one of the transaction, in its round trip.

    Returns a function that returns the rows of each; called before another statement, it runs them itself.
    """
    return _wrapper().fetch_ahead(*asked)


def fetch_all_as(member: Member, query: str, values: Values = None) -> list[tuple[Any, ...]]:
    """Return every row of one query as `member`: in the transaction of `acting_as`, else in its own, in one round trip."""
    wrapper = _wrapper()
    if not wrapper.in_atomic_block:
        return wrapper.fetch_each((ACT, [str(member.pk)]), (query, values))[1]
    with acting_as(member):
        return fetch_all(query, values)


def fetch_one_as_and_next(
    member: Member, first: tuple[str, Values], query: str, values: Values = None
) -> tuple[tuple[Any, ...] | None, list[tuple[Any, ...]] | None]:
    """Return the first row of one query as `member`, and every row of another, in one round trip.

    None for the other where it fails, or inside a transaction: then ask it by itself.
    """
    wrapper = _wrapper()
    if wrapper.in_atomic_block:
        return fetch_one_as(member, *first), None
    _none, rows, *found = wrapper.fetch_each((ACT, [str(member.pk)]), first, (query, values), may_fail=1)
    return rows[0] if rows else None, found[0] if found else None


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


def model_from_row(model: type[Model], columns: Sequence[str], row: Sequence[Any]) -> Model:
    """Return a row of a statement by hand as a model, as `Model.from_db` does. Fields that are not in it are deferred.

    It costs a fifth of `from_db`, which calls listeners of `pre_init` and `post_init` and sets field by field.
    """
    made = model.__new__(model)
    made.__dict__.update(zip(columns, row, strict=True))
    made._state = ModelState()
    made._state.adding, made._state.db = False, DEFAULT_DB_ALIAS
    return made


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
