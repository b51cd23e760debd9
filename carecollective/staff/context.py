"""The number of things that wait for staff, for the header of every page."""

from django.db import Error
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from carecollective.accounts.models import User
from carecollective.core.errors import as_domain_error
from carecollective.staff.waiting import staff_waiting as list_waiting
from carecollective.web.admin_site import site

MOST = 99


def staff_waiting(request: HttpRequest) -> dict[str, object]:
    """Let templates show `staff_waiting`: a number, "99+", or nothing. The database is asked once, and only for staff."""
    return {"staff_waiting": SimpleLazyObject(lambda: _describe(request))}


def _describe(request: HttpRequest) -> str:
    if not isinstance(request.user, User) or not site.has_permission(request):
        return ""
    try:
        found = sum(line.count for line in list_waiting(request.user))
    except Error as error:
        if as_domain_error(error) is None:
            raise
        return ""  # the page itself matters more, with what was typed in it
    return f"{MOST}+" if found > MOST else str(found or "")
