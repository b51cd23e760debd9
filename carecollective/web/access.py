"""What every answer leaves behind: one line in the log and a count, by route. No address, query, body or member."""

import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import CollectorRegistry, Counter, Histogram

from carecollective.web.server_limits import REFUSAL_KEY

lines = structlog.stdlib.get_logger("carecollective.access")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"
# Answers that no view gave: a file, or a refusal before it was known which view was meant.
STATIC, NO_ROUTE = "static", "none"
# Monitors ask these every few seconds: only what is not well is worth a line.
QUIET_WHEN_WELL = frozenset({"/api/health", "/api/health/live", "/metrics"})
DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REASON = "_access_reason"

# All that the processes of the site count, of whichever application.
counted = CollectorRegistry()
REQUESTS = Counter(
    "carecollective_http_requests", "Answers, by route and status.", ("method", "route", "status"), registry=counted
)
DURATION = Histogram(
    "carecollective_http_request_duration_seconds",
    "How long answers took, by route and class of status (2xx, 3xx, 4xx, 5xx).",
    ("route", "status_class"),
    buckets=DURATION_BUCKETS,
    registry=counted,
)


class AccessMiddleware:
    """Count every answer and write its line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = self.get_response(request)
        # The wording of a refusal is asked for once and kept: whoever sends it counts it.
        if REFUSAL_KEY not in request.META:
            _leave(request, response.status_code, time.perf_counter() - began)
        return response


def give_reason(request: HttpRequest, reason: str) -> None:
    """Put into the line of this request why it was refused, in place of a line beside it."""
    setattr(request, REASON, reason)


def count_answer(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer. `route` is a pattern of ours, never what a client sent."""
    REQUESTS.labels(method if method in METHODS else OTHER_METHOD, route, str(status)).inc()
    DURATION.labels(route, f"{status // 100}xx").observe(seconds)


def _leave(request: HttpRequest, status: int, seconds: float) -> None:
    # HEAD is a GET to the views.
    method, route = str(request.META["REQUEST_METHOD"]), _route_of(request, status)
    count_answer(method, route, status, seconds)
    if status == 200 and route in QUIET_WHEN_WELL:
        return
    more = {"reason": getattr(request, REASON)} if hasattr(request, REASON) else {}
    lines.info(
        "request",
        method=method if method in METHODS else OTHER_METHOD,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 1),
        **more,
    )


def _route_of(request: HttpRequest, status: int) -> str:
    if request.resolver_match is not None:
        return f"/{request.resolver_match.route}"
    is_file = status < 400 and request.path_info.startswith(settings.STATIC_URL)
    return STATIC if is_file else NO_ROUTE
