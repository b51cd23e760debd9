"""Read rows as the tables' owner, past the policies that show a row to its member and to staff only."""

from typing import TypeVar

from django.db.models import Model

from tests.roles import as_role

M = TypeVar("M", bound=Model)


def stored(model: type[M]) -> list[M]:
    """Return every row, as the tables' owner sees them."""
    with as_role("owner"):
        return list(model._default_manager.all())


def reread(row: Model) -> None:
    """Read the row again, as the tables' owner."""
    with as_role("owner"):
        row.refresh_from_db()
