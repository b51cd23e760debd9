"""Statements that a connection prepares at their first use, so that PostgreSQL plans them once and not at each request."""

from typing import Any

from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg import _queries

# psycopg's own threshold, by which it would prepare everything that is asked often: never.
ONLY_WHAT_IS_MARKED = 2**31

# psycopg reads the placeholders of a longer statement anew at each call, as most of those are made for one. Ours are few, and the
# inbox's are twice as long. `tests/postgres/test_prepared.py` sees it when this name of psycopg's own is gone.
LONGEST_READ_ONCE = 16_384
_queries.MAX_CACHED_STATEMENT_LENGTH = LONGEST_READ_ONCE


class Prepared(str):
    """A statement by hand that each connection prepares. Behind a pooler of transactions nothing is prepared.

    Cast each text that it returns (`title::text`): PostgreSQL refuses a prepared statement for good once a migration has changed
    the type of a column in its result. A cast keeps that type whatever becomes of the column.
    """

    __slots__ = ()


class PreparingCursor(ServerBindingCursor):
    """Django's cursor, which also prepares what is marked."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if isinstance(query, Prepared):
            options["prepare"] = True
        return super().execute(query, params, **options)  # type: ignore[misc]
