"""Addresses of pages, for whoever writes many: `reverse` takes them together anew at each call."""

from functools import cache
from uuid import UUID

from django.urls import reverse

_SAMPLE = UUID(int=0)


@cache
def address(name: str) -> str:
    """Return the address of a page without arguments."""
    return reverse(name)


def address_with_id(name: str, key: UUID) -> str:
    """Return the address of a page about one thing."""
    before, after = _around_id(name)
    return f"{before}{key}{after}"


@cache
def _around_id(name: str) -> tuple[str, str]:
    before, _id, after = reverse(name, args=[_SAMPLE]).partition(str(_SAMPLE))
    return before, after
