from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from carecollective.core import request_ids

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Give every answer an X-Request-ID, the caller's own where it is well formed."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_ids.adopt(request.headers.get("X-Request-ID"))
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class PrivacyHeadersMiddleware:
    """Keep private answers out of every cache, and the browser's sensors out of our pages."""

    PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Permissions-Policy", self.PERMISSIONS)
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-store" if "Cookie" in response.get("Vary", "") else "no-store"
        return response


class HostMiddleware(CommonMiddleware):
    """Refuse a Host that is not ours, except where a load balancer asks: it may know this machine by its number alone."""

    FOR_ANY_HOST = ("/api/health", "/api/health/live")

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        if request.path_info in self.FOR_ANY_HOST:
            return None
        return super().process_request(request)
