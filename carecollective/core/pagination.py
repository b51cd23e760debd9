"""Keyset pagination, newest first: new rows move nothing, and every page costs the same."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import ValidationRefused

Row = TypeVar("Row")
# The sort key of a row without a date: behind all others.
UNDATED = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows, and the direction to read from it: older, or (`newer`) back towards the newest."""

    at: datetime
    id: UUID
    newer: bool = False

    def __str__(self) -> str:
        raw = json.dumps([self.at.isoformat(), str(self.id), self.newer], separators=(",", ":"))
        return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `str()` wrote. Raises ValidationRefused for anything else."""
        try:
            at, key, newer = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            cursor = cls(datetime.fromisoformat(at), UUID(key), newer is True)
            if cursor.at.tzinfo is None:
                raise ValueError("no time zone")
        except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
            raise ValidationRefused(
                {"cursor": [_("This page link is no longer valid. Please start from the first page.")]}
            ) from None
        return cursor


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: Sequence[Row]
    next: Cursor | None
    previous: Cursor | None


def paginate(
    fetch: Callable[[Cursor | None, int], Sequence[Row]],
    *,
    cursor: Cursor | None,
    size: int,
    key: Callable[[Row], tuple[datetime, UUID]],
) -> Page[Row]:
    """Return one page of at most `size` rows, newest first.

    `key(row)` is what the rows are ordered by. `fetch(cursor, limit)` returns rows beyond the cursor in reading order: newest
    first, or oldest first when `cursor.newer`.
    """
    found = list(fetch(cursor, size + 1))
    more, rows = len(found) > size, found[:size]
    if cursor and cursor.newer:
        rows.reverse()
    if not rows:
        return Page(rows, None, None)
    going_back = bool(cursor and cursor.newer)
    older = Cursor(*key(rows[-1])) if (more or going_back) else None
    newer = Cursor(*key(rows[0]), newer=True) if (more if going_back else cursor) else None
    return Page(rows, older, newer)


def beyond(queryset: QuerySet[Any], cursor: Cursor | None, *, field: str) -> QuerySet[Any]:
    """Order `queryset` by `field` and key, and keep the rows beyond `cursor`."""
    if cursor is None:
        return queryset.order_by(f"-{field}", "-pk")
    comparison, order = ("gt", (field, "pk")) if cursor.newer else ("lt", (f"-{field}", "-pk"))
    past = Q(**{f"{field}__{comparison}": cursor.at}) | Q(**{field: cursor.at, f"pk__{comparison}": cursor.id})
    return queryset.filter(past).order_by(*order)
