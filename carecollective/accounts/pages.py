"""Pages for members who are signed in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.middleware import get_user
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from carecollective.accounts.models import User
from carecollective.web.pages import ask_to_sign_in, public_page

P = ParamSpec("P")


class MemberRequest(HttpRequest):
    """A request by someone who is signed in."""

    user: User


def member_page(
    view: Callable[Concatenate[MemberRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Show a page to members. Visitors sign in first and come back to it."""

    @public_page
    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if signed_in_member(request) is None:
            return ask_to_sign_in(request)
        return view(cast("MemberRequest", request), *args, **kwargs)

    return answer


def signed_in_member(request: HttpRequest) -> User | None:
    """Return who is signed in, and let the templates have the member itself: each look through Django's lazy one costs."""
    if not request.user.is_authenticated:
        return None
    request.user = get_user(request)
    return cast("User", request.user)


def button_page(act: Callable[..., object], back: str) -> Callable[..., HttpResponse]:
    """Make the page behind a button. It calls `act` with the ids of the address, and leads to the page `back` of the same ids.

    A GET, from a reload or the sign-in page, only leads back.
    """

    @member_page
    def view(request: MemberRequest, /, **kwargs: UUID) -> HttpResponse:
        if request.method == "POST":
            act(actor=request.user, **kwargs)
        return redirect(reverse(back, kwargs=kwargs))

    return view


def mail_folder(request: HttpRequest) -> dict[str, Any]:
    """Tell templates where mail lies on a site that sends none and that only its own machine reaches."""
    is_shown = settings.LOCAL_MODE and not settings.SENDS_MAIL
    return {"mail_folder": settings.EMAIL_FILE_PATH if is_shown else None}
