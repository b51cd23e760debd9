"""Answers that belong to no room of the house: errors and health."""

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
from carecollective.web.api import InternalServerError, status_of

logger = logging.getLogger(__name__)

SIGN_IN_PAGES = frozenset({"login", "signup", "admin:login"})


def answer_error(request: HttpRequest, error: errors.DomainError) -> HttpResponse:
    """Answer a refusal as a page, or in the API's envelope under /api/."""
    response: HttpResponse
    if request.path.startswith("/api/"):
        response = JsonResponse(errors.envelope(error), status=status_of(error))
    else:
        response = render(
            request,
            "error.html",
            {"error": error, "request_id": request_ids.current()},
            status=status_of(error),
        )
    for name, value in errors.answer_headers(error).items():
        response[name] = value
    return response


def address_without_slash(request: HttpRequest) -> str | None:
    """Return the address that somebody meant who put a slash at the end of one of ours, or None for any other."""
    wanted = request.path_info.rstrip("/")
    if wanted in ("", request.path_info) or is_valid_path(request.path_info) or not is_valid_path(wanted):
        return None
    query = request.META.get("QUERY_STRING", "")
    # What is ours begins with one slash and then a letter, so that this never leads to another site.
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
    """Answer what no view answered: a database that is away is a 503, anything else a 500 with the request's id."""
    exception = sys.exc_info()[1]
    error = errors.as_domain_error(exception) if exception else None
    return answer_error(request, error or InternalServerError(request_id=request_ids.current()))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form without the right token; lead on who clicked twice to sign in, which changes the token."""
    if _has_just_signed_in(request):
        wanted = request.POST.get("next", "")
        # These pages lead on whoever is signed in, and look at where to themselves.
        return redirect(f"{request.path}?{urlencode({'next': wanted})}" if wanted else request.path)
    give_reason(request, f"CSRF: {reason}")
    return answer_error(
        request, errors.NotPermitted(_("This page was open for too long. Please go back, reload it and try again."))
    )


def _has_just_signed_in(request: HttpRequest) -> bool:
    """Tell whether this is the form by which the member who is signed in came in."""
    if request.resolver_match is None or request.resolver_match.view_name not in SIGN_IN_PAGES:
        return False
    email = request.POST.get("email") or request.POST.get("username", "")
    return request.user.is_authenticated and email.strip().lower() == request.user.get_username()


def favicon(request: HttpRequest) -> HttpResponse:
    """Lead browsers that ask at the usual address to the mark that every page names."""
    return redirect(static("img/mark.svg"))


@csrf_exempt
def health_check(request: HttpRequest) -> HttpResponse:
    """Tell monitors and load balancers whether this host can serve members."""
    if request.method not in ("GET", "HEAD"):
        return _only_reading(request)
    report = health.read()
    is_ready = report.status is not health.Status.FAILING
    return JsonResponse({"status": report.status, "checks": report.checks}, status=200 if is_ready else 503)


@csrf_exempt
def liveness_check(request: HttpRequest) -> HttpResponse:
    """Tell whether this process serves at all. Asks nothing of the database."""
    if request.method not in ("GET", "HEAD"):
        return _only_reading(request)
    return JsonResponse({"status": health.Status.OK})


def _only_reading(request: HttpRequest) -> HttpResponse:
    response = answer_error(request, errors.MethodNotAllowed())
    response["Allow"] = "GET, HEAD"
    return response
