"""The page of the final acceptance, at /admin/rollout/acceptance."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from carecollective.core.errors import DomainError
from carecollective.web.api import status_of
from rollout.dashboard.actions import act
from rollout.dashboard.views import Can
from rollout.promotion.acceptance import judge_acceptance
from rollout.releases import current_release
from rollout.targeting import snapshot


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def acceptance(request: HttpRequest) -> HttpResponse:
    """Show the nine lines to staff with `rollout.view`; a POST signs one or takes a signature back."""
    if not request.user.has_perm("rollout.view"):
        raise PermissionDenied
    refusal: DomainError | None = None
    if request.method == "POST":
        try:
            messages.success(request, act(request))
        except DomainError as problem:
            refusal = problem
        else:
            return redirect("admin:rollout_acceptance")
    items = judge_acceptance()
    open_count = sum(item.state != "pass" for item in items)
    context = {
        **admin.site.each_context(request),
        "title": "Final acceptance",
        "items": items,
        "accepted": not open_count,
        "open_count": open_count,
        "release": current_release(),
        "can": Can.of(request.user),  # type: ignore[arg-type]
        "status": snapshot.read_now(),
        "post_to": reverse("admin:rollout_acceptance"),
        "refusal": refusal,
    }
    return TemplateResponse(
        request, "admin/rollout/acceptance.html", context, status=status_of(refusal) if refusal else 200
    )
