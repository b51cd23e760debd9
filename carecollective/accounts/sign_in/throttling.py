"""Keys that django-axes counts failed sign-ins by."""

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.db import IntegrityError
from django.http import HttpRequest


class AttemptHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """django-axes' handler, made safe for two failed sign-ins to one account at the same moment."""

    def user_login_failed(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().user_login_failed(*args, **kwargs)
        except IntegrityError:
            # Another request wrote the account's row first, and a successful sign-in or an erasure deleted it.
            super().user_login_failed(*args, **kwargs)


def throttle_username(request: HttpRequest | None, credentials: dict[str, Any] | None = None) -> str:
    """Return the e-mail address of a sign-in, in the spelling that members are stored with."""
    given = (credentials or {}).get("username") or (request.POST.get("username", "") if request else "")
    return str(given).strip().lower()
