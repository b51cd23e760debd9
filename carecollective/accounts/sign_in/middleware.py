"""Who is signed in by a session. API calls about messages by token do without."""

from functools import partial
from typing import Any, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject

from carecollective.accounts.authentication import names_token
from carecollective.accounts.models import User
from carecollective.accounts.sign_in.sessions import SLIDES_AFTER, SessionStore, asking_for_member, device_name

MESSAGING_API = "/api/messaging/"


class ForBrowsers(MiddlewareMixin):
    """A middleware that API calls about messages by token pass by.

    They have no session, and no page shows them a notice. The token alone says who calls.
    See `docs/decisions/0047-calls-by-token-without-sessions.md`.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(MESSAGING_API) and names_token(request.META.get("HTTP_AUTHORIZATION", "")):
            return cast("HttpResponseBase", self.get_response(request))
        return cast("HttpResponseBase", super().__call__(request))


class SessionMiddleware(ForBrowsers, sessions.SessionMiddleware):
    pass


class AuthenticationMiddleware(ForBrowsers, auth.AuthenticationMiddleware):
    """Django's; the member that it asks for is read with the session, in one statement."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        session = cast("SessionStore", request.session)
        ask = partial(asking_for_member, session, partial(auth.get_user, request))
        request.user = cast("User", SimpleLazyObject(ask))


class MessageMiddleware(ForBrowsers, messages.MessageMiddleware):
    pass


class SlidingSessionMiddleware(ForBrowsers):
    """Prolong a member's session while it is used: for 30 days, or 12 hours on the staff's."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        session: Any = request.session
        # Where nobody asked who it is, nothing is looked up.
        if not session.accessed or SESSION_KEY not in session or not request.user.is_authenticated:
            return response
        session.is_staffs = bool(getattr(request.user, "is_staff", False))
        session.device = device_name(request.headers.get("User-Agent", ""))
        seen_at = session.row.seen_at if session.row is not None else None
        if seen_at is None or timezone.now() - seen_at > SLIDES_AFTER:
            session.modified = True
        return response
