import re
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware

from carecollective.core.errors import DatabaseAway, MethodNotAllowed
from carecollective.observability import request_ids
from carecollective.web.server_limits import FOR_MONITORS, REFUSAL_KEY, REQUEST_THREADS, STUCK_SECONDS
from carecollective.web.views import address_without_slash, answer_error

GetResponse = Callable[[HttpRequest], HttpResponseBase]
TOO_EARLY = 425


class RequestIdMiddleware:
    """Give every answer an X-Request-ID, the caller's own where it is well formed."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = request_ids.adopt(request.headers.get("X-Request-ID"))
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


def is_speculative(request: HttpRequest) -> bool:
    """Tell whether nobody reads the answer yet: a HEAD, or a browser that fetches in advance."""
    purposes = (request.headers.get(name, "").lower() for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    return _is_head(request) or any(
        word in purpose for purpose in purposes for word in ("prefetch", "prerender", "preview")
    )


def _is_head(request: HttpRequest) -> bool:
    return bool(request.META["REQUEST_METHOD"] == "HEAD")


class SpeculativeMiddleware:
    """Let what nobody reads yet set no cookie, and answer HEAD as GET without its body.

    The views see a GET: some of Django's own answer HEAD otherwise.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_head = _is_head(request)
        if is_head:
            request.method = "GET"
        response = self.get_response(request)
        request.method = request.META["REQUEST_METHOD"]
        if not is_speculative(request):
            return response
        is_known = request.COOKIES.keys() & {settings.CSRF_COOKIE_NAME, settings.SESSION_COOKIE_NAME}
        if not is_head and not is_known and settings.CSRF_COOKIE_NAME in response.cookies:
            # The form in it would be refused for want of the cookie: the browser asks again once somebody wants the page.
            return HttpResponse(status=TOO_EARLY, headers={"Cache-Control": "no-store"})
        response.cookies.clear()
        if is_head:
            if isinstance(response, StreamingHttpResponse):
                response.streaming_content = []
            elif isinstance(response, HttpResponse):
                response.content = b""
        return response


class WireRefusalMiddleware:
    """Word what the server refuses before it is a request, and refuse the methods that are for proxies alone."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        refusal = request.META.get(REFUSAL_KEY)
        if refusal is not None:
            return answer_error(request, refusal)
        if request.method in ("TRACE", "CONNECT"):
            response = answer_error(request, MethodNotAllowed())
            response["Allow"] = "GET, HEAD, POST"
            return response
        return self.get_response(request)


class ReservedThreadsMiddleware:
    """Refuse a request at once while all threads but the reserved ones are stuck, so that health checks are answered.

    A process whose every thread waits for a database that has stopped looks dead, and would be killed for it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._free = threading.Semaphore(REQUEST_THREADS)
        self._moved_at = time.monotonic()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in FOR_MONITORS:
            return self.get_response(request)
        patience = max(0.0, self._moved_at + STUCK_SECONDS - time.monotonic())
        if not self._free.acquire(timeout=patience):
            return answer_error(request, DatabaseAway(retry_after=5))
        self._moved_at = time.monotonic()
        try:
            return self.get_response(request)
        finally:
            self._moved_at = time.monotonic()
            self._free.release()


class PrivacyHeadersMiddleware:
    """Keep private answers out of every cache, and the browser's sensors out of our pages."""

    PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Permissions-Policy", self.PERMISSIONS)
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-store" if "Cookie" in response.get("Vary", "") else "no-store"
        return response


class ControlCharactersMiddleware:
    """Write no control character into a page, whoever typed it into whichever form: HTML takes tabs and line ends alone."""

    C0 = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
    C1 = re.compile(rb"\xc2[\x80-\x9f]")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            response.content = self.C1.sub(b"", response.content.translate(None, self.C0))
        return response


class HostMiddleware(CommonMiddleware):
    """Refuse a Host that is not ours, except where a load balancer asks: it may know this machine by its number alone."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        if request.path_info in FOR_MONITORS:
            return None
        return super().process_request(request)


class TrailingSlashMiddleware:
    """Lead from a page's address with a slash at its end to the one without, where only that one is ours.

    308, so that a form that was sent to the wrong one is sent again whole. A program is told instead (`not_found`): many
    clients follow no redirect of what they post.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        location = address_without_slash(request)
        if location is None or (location.startswith("/api/") and not location.startswith("/api/docs")):
            return self.get_response(request)
        return HttpResponsePermanentRedirect(location, preserve_request=True)
