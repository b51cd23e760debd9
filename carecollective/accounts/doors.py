"""Whose sign-ins are counted together: one account's, at whichever door."""

from typing import Any

from django.http import HttpRequest


def account_of(request: HttpRequest | None, credentials: dict[str, Any] | None = None) -> str:
    """Return the address that somebody tries to sign in with, in the one spelling under which members are found."""
    given = (credentials or {}).get("username") or (request.POST.get("username", "") if request else "")
    return str(given).strip().lower()
