"""Being another of the database's roles for a while, on the test's own connection and in its transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """Do the block as `carecollective_<role>`, and be the web role again."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE carecollective_{role}")
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SET ROLE carecollective_web")
