"""Who acts, and what time it is, as the database knows it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from carecollective import postgres
from carecollective.postgres import pooling


class Member(Protocol):
    @property
    def pk(self) -> UUID: ...


_acting: ContextVar[UUID | None] = ContextVar("acting_member", default=None)


@contextmanager
def acting_as(member: Member) -> Iterator[None]:
    """Run one transaction in the name of `member`: the policies see nobody else.

    The name lives in the transaction (`set_config(…, true)`), so that no later request on the same connection inherits it.
    Inside itself, for the same member, it changes nothing.
    """
    if _acting.get() == member.pk and connection.in_atomic_block:
        yield
        return
    within = connection.in_atomic_block
    before = _acting.get()
    with transaction.atomic():
        _set_actor(str(member.pk))
        token = _acting.set(member.pk)
        try:
            yield
        finally:
            _acting.reset(token)
        if within:
            _set_actor(str(before or ""))


@contextmanager
def taken_back() -> Iterator[None]:
    """Run the block in a transaction, or a savepoint of the caller's, of which nothing stays."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _set_actor(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.user_id', %s, true)", [value])


def fetch_all(query: str, values: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Return every row of a query on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


@contextmanager
def connected_as(url: str) -> Iterator[None]:
    """Let this thread's connection be that of the URL's database role for the block; outside any transaction."""
    # Threads share the dictionary: this thread's connection gets one of its own.
    before = connection.settings_dict
    there = postgres.database_settings(url)
    connection.close()
    connection.settings_dict = {**before, "USER": there["USER"], "PASSWORD": there["PASSWORD"]}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before


def direct_connection() -> BaseDatabaseWrapper:
    """Make a connection beside Django's own, past any pooler: what it locks or sets is its own until it closes."""
    there = connections[DEFAULT_DB_ALIAS].settings_dict
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    own.settings_dict = {**there, **there.get("DIRECT", {})}
    return own


def refuse_shared_sessions() -> None:
    """Return only when what should be a session of its own is one, in this process's role.

    Raises PostgresError with one sentence that names the remedy, and django.db.Error without a database.
    """

    def connect() -> psycopg.Connection[Any]:
        own = direct_connection()
        own.ensure_connection()
        opened: psycopg.Connection[Any] = own.connection
        return opened

    with connection.wrap_database_errors:
        pooling.refuse_shared_sessions(connect)


class ClockTimestamp(models.Func):
    """The database's clock at this very statement. `Now()` would be the start of the transaction, before its locks."""

    function = "clock_timestamp"
    output_field = models.DateTimeField()
