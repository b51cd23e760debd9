"""Views of the site itself: error pages, health checks, the favicon."""

import logging
import sys
from urllib.parse import urlencode

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import is_valid_path
from django.utils.encoding import escape_uri_path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt

from carecollective.core import errors
from carecollective.observability import request_ids
from carecollective.web import health
from carecollective.web.access import give_reason
from carecollective.web.api import InternalServerError
from carecollective.web.pages import answer_error, keep_form

logger = logging.getLogger(__name__)

SIGN_IN_PAGES = frozenset({"login", "signup", "admin:login"})


def address_without_slash(request: HttpRequest) -> str | None:
    """Return the requested address without its trailing slash if only that one exists, else None."""
    wanted = request.path_info.rstrip("/")
    if wanted in ("", request.path_info) or is_valid_path(request.path_info) or not is_valid_path(wanted):
        return None
    query = request.META.get("QUERY_STRING", "")
    # Our addresses begin with one slash and a letter, so this never leads to another site.
    return escape_uri_path(request.path.rstrip("/")) + (f"?{query}" if query else "")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if address_without_slash(request):
        return answer_error(
            request, errors.DomainNotFound(_("There is nothing at this address. Leave out the slash at its end."))
        )
    return answer_error(request, errors.DomainNotFound())


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer_error(request, errors.NotPermitted())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        logger.warning("Refused a request for a host that ALLOWED_HOSTS does not name.")
    else:
        logger.warning("Refused a malformed request (%s).", type(exception).__name__)
    is_too_large = isinstance(exception, RequestDataTooBig)
    return answer_error(request, errors.BodyTooLarge() if is_too_large else errors.MalformedRequest())


def failed(request: HttpRequest) -> HttpResponse:
    """Answer an unhandled exception: 503 when the database is away, else 500 with the request's id."""
    exception = sys.exc_info()[1]
    error = errors.as_domain_error(exception) if exception else None
    return answer_error(request, error or InternalServerError(request_id=request_ids.current()))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form without a valid token, and show what was typed again with a fresh one.

    Redirect if the first of two clicks on "Sign in" changed the token.
    """
    if _has_just_signed_in(request):
        wanted = request.POST.get("next", "")
        # These pages redirect signed-in members, and check `next` themselves.
        return redirect(f"{request.path}?{urlencode({'next': wanted})}" if wanted else request.path)
    give_reason(request, f"CSRF: {reason}")
    if kept := keep_form(request):
        return render(request, "send_again.html", {"kept": kept}, status=403)
    return answer_error(
        request, errors.NotPermitted(_("This page was open for too long. Please go back, reload it and try again."))
    )


def _has_just_signed_in(request: HttpRequest) -> bool:
    """Tell whether this form signed in the member who is signed in now."""
    if request.resolver_match is None or request.resolver_match.view_name not in SIGN_IN_PAGES:
        return False
    email = request.POST.get("email") or request.POST.get("username", "")
    return request.user.is_authenticated and email.strip().lower() == request.user.get_username()


def favicon(request: HttpRequest) -> HttpResponse:
    """Redirect the usual address of the icon to the one that our pages name."""
    return redirect(static("img/mark.svg"))


@csrf_exempt
def health_check(request: HttpRequest) -> HttpResponse:
    """Tell monitors and load balancers whether this host can serve members."""
    if request.method not in ("GET", "HEAD"):
        return _refuse_writing(request)
    report = health.read()
    is_ready = report.status is not health.HealthStatus.FAILING
    return JsonResponse({"status": report.status, "checks": report.checks}, status=200 if is_ready else 503)


@csrf_exempt
def liveness_check(request: HttpRequest) -> HttpResponse:
    """Tell monitors whether this process serves. It does not ask the database."""
    if request.method not in ("GET", "HEAD"):
        return _refuse_writing(request)
    return JsonResponse({"status": health.HealthStatus.OK})


def _refuse_writing(request: HttpRequest) -> HttpResponse:
    response = answer_error(request, errors.MethodNotAllowed())
    response["Allow"] = "GET, HEAD"
    return response
