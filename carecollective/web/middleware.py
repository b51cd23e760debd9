import re
import threading
import time
from collections.abc import Callable
from typing import cast

from corsheaders import middleware as cors
from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.cache import patch_vary_headers
from django.utils.functional import cached_property

from carecollective.core.errors import DatabaseAway, MethodNotAllowed
from carecollective.observability import request_ids
from carecollective.web.access import record_answer
from carecollective.web.pages import answer_error
from carecollective.web.server_limits import FOR_MONITORS, REFUSAL_KEY, REQUEST_THREADS, STUCK_SECONDS
from carecollective.web.views import address_without_slash

GetResponse = Callable[[HttpRequest], HttpResponseBase]
TOO_EARLY = 425


class Middleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response


class RequestIdMiddleware(Middleware):
    """Give every answer an X-Request-ID, the caller's own where it is well formed."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = request_ids.adopt(request.META.get("HTTP_X_REQUEST_ID"))
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class AccessMiddleware(Middleware):
    """Count every answer and log it."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = self.get_response(request)
        # The server renders its own refusals through Django, keeps them, and counts each one that it sends.
        if REFUSAL_KEY not in request.META:
            record_answer(request, response.status_code, time.perf_counter() - began)
        return response


_PURPOSES = {"HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ"}


def is_speculative(request: HttpRequest) -> bool:
    """Tell whether nobody reads the answer yet: a HEAD request, or a browser that prefetches."""
    purposes = (request.META[name].lower() for name in _PURPOSES & request.META.keys())
    return _is_head(request) or any(
        word in purpose for purpose in purposes for word in ("prefetch", "prerender", "preview")
    )


def _is_head(request: HttpRequest) -> bool:
    return bool(request.META["REQUEST_METHOD"] == "HEAD")


class SpeculativeMiddleware(Middleware):
    """Set no cookie on speculative requests, and answer HEAD as GET without its body.

    Views see a GET instead of a HEAD, because some of Django's own treat HEAD differently.
    """

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
            # Without the cookie the form in the page would be refused. The browser asks again when somebody opens the page.
            return HttpResponse(status=TOO_EARLY, headers={"Cache-Control": "no-store"})
        response.cookies.clear()
        if is_head:
            if isinstance(response, StreamingHttpResponse):
                response.streaming_content = []
            elif isinstance(response, HttpResponse):
                response.content = b""
        return response


class CorsMiddleware(cors.CorsMiddleware):
    """Tell browsers which other origins may read an answer. A call that names no origin gets `Vary: origin` alone."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META:
            return cast("HttpResponseBase", super().__call__(request))
        response = cast("HttpResponseBase", self.get_response(request))
        if self.is_enabled(request):
            patch_vary_headers(response, ("origin",))
        return response


class ServerRefusalMiddleware(Middleware):
    """Answer requests that the server refused before Django saw them, and refuse methods that are for proxies."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        refusal = request.META.get(REFUSAL_KEY)
        if refusal is not None:
            return answer_error(request, refusal)
        if request.method in ("TRACE", "CONNECT"):
            response = answer_error(request, MethodNotAllowed())
            response["Allow"] = "GET, HEAD, POST"
            return response
        return self.get_response(request)


class ReservedThreadsMiddleware(Middleware):
    """Refuse requests while all threads but the reserved ones are stuck, so that health checks are answered.

    Otherwise a process with every thread waiting for a stopped database looks dead, and is killed.
    """

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        self._free = threading.Semaphore(REQUEST_THREADS)
        self._last_progress = time.monotonic()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in FOR_MONITORS:
            return self.get_response(request)
        patience = max(0.0, self._last_progress + STUCK_SECONDS - time.monotonic())
        if not self._free.acquire(timeout=patience):
            return answer_error(request, DatabaseAway(retry_after=5))
        self._last_progress = time.monotonic()
        try:
            return self.get_response(request)
        finally:
            self._last_progress = time.monotonic()
            self._free.release()


class PolicyMiddleware(CSPMiddleware):
    """Set the Content-Security-Policy of the settings. django-csp would build it anew for each answer, with a nonce."""

    def process_request(self, request: HttpRequest) -> None:
        """Nothing: no page uses a nonce."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response[HEADER] = self._header
        return response

    @cached_property
    def _header(self) -> str:
        return str(super().process_response(HttpRequest(), HttpResponse())[HEADER])


class PrivacyHeadersMiddleware(Middleware):
    """Keep private answers out of caches, and turn the browser's sensors off."""

    PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Permissions-Policy", self.PERMISSIONS)
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-store" if "Cookie" in response.get("Vary", "") else "no-store"
        return response


class ControlCharactersMiddleware(Middleware):
    """Remove control characters from pages: HTML allows only tabs and line ends."""

    C0 = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
    C1 = re.compile(rb"\xc2[\x80-\x9f]")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            response.content = self.C1.sub(b"", response.content.translate(None, self.C0))
        return response


class HostMiddleware(CommonMiddleware):
    """Refuse unknown hosts, except for health checks: a load balancer may use the IP address as Host."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        if request.path_info in FOR_MONITORS:
            return None
        return super().process_request(request)


class TrailingSlashMiddleware(Middleware):
    """Redirect a page's address with a trailing slash to the one without.

    308 makes the browser send a form again. The API answers `not_found` instead: many clients follow no redirect of a POST.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        location = address_without_slash(request)
        if location is None or (location.startswith("/api/") and not location.startswith("/api/docs")):
            return self.get_response(request)
        return HttpResponsePermanentRedirect(location, preserve_request=True)
