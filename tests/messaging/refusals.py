"""A refusal is a type, a code, a status, and nothing written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from carecollective.core.errors import DomainError
from carecollective.web.api import status_of


@contextmanager
def refused(kind: type[DomainError], code: str, status: int) -> Iterator[Any]:
    """Expect exactly this refusal, and every table as it was."""
    before = contents()
    with pytest.raises(DomainError) as refusal:
        yield refusal
    assert (type(refusal.value), refusal.value.code, status_of(refusal.value)) == (kind, code, status)
    assert contents() == before


@contextmanager
def nothing_written() -> Iterator[None]:
    before = contents()
    yield
    assert contents() == before


def contents() -> dict[str, str]:
    """Return every table's rows as a checksum, past the policies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        role = cursor.fetchone()[0]
        cursor.execute("SET ROLE NONE")
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        parts = [
            f"SELECT '{name}', count(*) || ' ' || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t"
            for (name,) in cursor.fetchall()
        ]
        cursor.execute(" UNION ALL ".join(parts))
        found: dict[str, Any] = dict(cursor.fetchall())
        cursor.execute(f"SET ROLE {role}")
    return found
