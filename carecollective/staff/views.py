"""The staff home, and the requests that nobody has answered."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from carecollective.accounts.authentication import member_of
from carecollective.core.database import read_clock
from carecollective.staff.selectors import SHOWN, list_unanswered
from carecollective.staff.waiting import staff_waiting
from rollout.dashboard.summary import describe_rollout


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """List what waits for this member of staff."""
    staff = member_of(request)
    context = {
        **admin.site.each_context(request),
        "title": "What waits",
        "lines": staff_waiting(staff),
        "now": read_clock(),
        "rollout": describe_rollout() if staff.has_perm("rollout.view") else "",
    }
    return TemplateResponse(request, "admin/staff/home.html", context)


@never_cache
@require_safe
def unanswered(request: HttpRequest) -> HttpResponse:
    """List the open requests that nobody has offered help with for a day."""
    context = {
        **admin.site.each_context(request),
        "title": "Requests that nobody has answered",
        "requests": list_unanswered(reader=member_of(request)),
        "most": SHOWN,
        "now": read_clock(),
    }
    return TemplateResponse(request, "admin/staff/unanswered.html", context)
