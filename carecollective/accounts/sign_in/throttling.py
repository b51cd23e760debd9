"""Whose sign-ins are counted together: one account's, at whichever door."""

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.db import IntegrityError
from django.http import HttpRequest


class AttemptHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """django-axes' own handler, for failed sign-ins of one account at the same moment."""

    def user_login_failed(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().user_login_failed(*args, **kwargs)
        except IntegrityError:
            # Another request wrote the account's row first, and a sign-in that succeeded, or an erasure, has deleted it.
            super().user_login_failed(*args, **kwargs)


def throttle_username(request: HttpRequest | None, credentials: dict[str, Any] | None = None) -> str:
    """Return the address that somebody tries to sign in with, in the one spelling under which members are found."""
    given = (credentials or {}).get("username") or (request.POST.get("username", "") if request else "")
    return str(given).strip().lower()
