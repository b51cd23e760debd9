"""Pages for members: who asks is the one who is signed in."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse

from carecollective.accounts.models import User
from carecollective.web.pages import page

P = ParamSpec("P")


class MemberRequest(HttpRequest):
    """A request by someone who is signed in."""

    user: User


def member_page(
    view: Callable[Concatenate[MemberRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A page for members: visitors are sent to sign in and come back."""

    @page
    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return view(cast("MemberRequest", request), *args, **kwargs)

    return answer
