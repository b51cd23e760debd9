"""Addresses of pages and static files, put together once: they stay as they are while a process runs."""

from functools import cache
from typing import Any
from uuid import UUID

from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.signals import setting_changed
from django.urls import reverse
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

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


@cache
def static_address(path: str) -> SafeString:
    """Return the address of a static file, as HTML writes it."""
    return conditional_escape(staticfiles_storage.url(path))


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"STATIC_URL", "STORAGES"}:
        static_address.cache_clear()


# Only tests and the rehearsal of a takeover change settings.
setting_changed.connect(_forget)
