"""The number of unread messages, for the header and the title of every page."""

from django.db import Error
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from carecollective.core.errors import as_domain_error
from carecollective.inbox.queries import MOST_COUNTED
from carecollective.inbox.selectors import count_unread

MOST = MOST_COUNTED - 1


def unread(request: HttpRequest) -> dict[str, object]:
    """Let templates show `unread`: a number, "99+", or nothing. The database is asked once, when a page first needs it."""
    return {"unread": SimpleLazyObject(lambda: _describe(request))}


def _describe(request: HttpRequest) -> str:
    if not request.user.is_authenticated:
        return ""
    try:
        return _as_shown(count_unread(reader=request.user))
    except Error as error:
        if as_domain_error(error) is None:
            raise
        return ""  # the page itself matters more, with what was typed in it


def counted(found: int | None) -> dict[str, str]:
    """Return `unread` for a page whose view has counted on its way. Where it has not, the page asks by itself."""
    return {} if found is None else {"unread": _as_shown(found)}


def _as_shown(found: int) -> str:
    return f"{MOST}+" if found > MOST else str(found or "")
