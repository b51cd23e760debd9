"""allauth's views as pages of this site."""

from functools import wraps
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.core.exceptions import ReauthenticationRequired
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters

from carecollective.web.pages import public_page

# A visitor who asked for a code and never came back leaves their address in a session for no longer than this.
PENDING_SECONDS = 3600


def entry_page(view: Any) -> Any:
    """Answer 400 where a form was refused, and keep a visitor's session for an hour only."""

    @public_page
    @sensitive_post_parameters()
    @wraps(view)
    def answer(request: HttpRequest, /, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = view(request, *args, **kwargs)
        except (ReauthenticationRequired, PermissionDenied):
            if not request.user.is_authenticated or get_adapter().get_reauthentication_methods(request.user):
                raise
            # They have no password to confirm with: the page for a forgotten one helps.
            return redirect("password-forgotten")
        context = getattr(response, "context_data", None) or {}
        forms = [context[name] for name in ("form", "webauthn_form") if context.get(name) is not None]
        if request.method == "POST" and response.status_code == 200 and any(form.errors for form in forms):
            response.status_code = 400
        limit_visitor_session(request)
        return response

    return answer


def limit_visitor_session(request: HttpRequest) -> None:
    """Let a visitor's session end after an hour."""
    if not request.user.is_authenticated and request.session.modified:
        request.session.set_expiry(PENDING_SECONDS)
    elif request.user.is_authenticated and request.session.get("_session_expiry") == PENDING_SECONDS:
        request.session.set_expiry(None)
