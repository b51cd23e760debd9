"""The page on which staff approve applicants, or not."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from carecollective.accounts.applicants.forms import DecisionForm
from carecollective.accounts.applicants.selectors import SHOWN, list_applicants
from carecollective.accounts.applicants.services import decide_applications
from carecollective.accounts.authentication import member_of
from carecollective.core.database import read_clock
from carecollective.core.errors import DomainError
from carecollective.web.api import parse_uuid
from carecollective.web.pages import CatchRefusals, render_page


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def applicants(request: HttpRequest) -> HttpResponse:
    """List who waits to join; a POST decides about those who are ticked."""
    if request.method != "POST":
        return _render(request, DecisionForm())
    form = DecisionForm(request.POST)
    ticked, approves = request.POST.getlist("chosen"), "approve" in request.POST
    with CatchRefusals(form) as attempt:
        decisions = decide_applications(
            actor=member_of(request),
            member_ids=[parse_uuid(one) for one in ticked],
            approves=approves,
            reason=form.raw("reason"),
        )
        if decisions.done:
            said = _("Approved: %(names)s.") if approves else _("Not approved: %(names)s.")
            told = _("We write to each of them.")
            messages.success(request, f"{said % {'names': ', '.join(decisions.done)}} {told}")
        if not decisions.refused:
            return redirect("admin:applicants")
        still = {str(member_id) for member_id, _name, _refusal in decisions.refused}
        return _render(
            request,
            form,
            ticked=still,
            refused=decisions.refused,
            refusal=next(one for *_who, one in decisions.refused),
        )
    return _render(request, form, ticked=set(ticked), refusal=attempt.error)


def _render(
    request: HttpRequest,
    form: DecisionForm,
    *,
    ticked: Any = (),
    refused: Any = (),
    refusal: DomainError | None = None,
) -> HttpResponse:
    found = list_applicants(reader=member_of(request))
    context = {
        **admin.site.each_context(request),
        "title": _("People who wait to join"),
        "groups": [
            ("", [one for one in found if one.can_be_approved]),
            (_("Their address is not confirmed yet"), [one for one in found if not one.can_be_approved]),
        ],
        "any": bool(found),
        "is_full": len(found) == SHOWN,
        "most": SHOWN,
        "now": read_clock(),
        "form": form,
        "ticked": ticked,
        "refused": refused,
    }
    return render_page(request, "admin/applicants/applicants.html", context, refusal=refusal)
