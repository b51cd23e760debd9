"""The access log and its counters, by route. They hold no address, query, body or member."""

import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from prometheus_client import CollectorRegistry, Counter, Histogram

from carecollective.observability.logging import scrub, write_line

lines = logging.getLogger("carecollective.access")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"
# Answers without a view: a static file, or a refusal before a view was found.
STATIC, NO_ROUTE = "static", "none"
# Monitors ask these every few seconds: only failures are logged.
LOGGED_ON_FAILURE = frozenset({"/api/health", "/api/health/live", "/metrics"})
DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REASON = "_access_reason"

# The counters of every app, in every process of the site.
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


def give_reason(request: HttpRequest, reason: str) -> None:
    """Add the reason of a refusal to the request's line in the access log."""
    setattr(request, REASON, reason)


def count_answer(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer. `route` is a pattern from urls.py, never an address that a client sent."""
    answers, durations = _series(method if method in METHODS else OTHER_METHOD, route, status)
    answers.inc()
    durations.observe(seconds)


@cache
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), DURATION.labels(route, f"{status // 100}xx")


def record_answer(request: HttpRequest, status: int, seconds: float) -> None:
    """Count an answer and log it."""
    # Not `request.method`: SpeculativeMiddleware turns HEAD into GET.
    method, route = str(request.META["REQUEST_METHOD"]), _route_of(request, status)
    count_answer(method, route, status, seconds)
    if status == 200 and route in LOGGED_ON_FAILURE:
        return
    reason: Any = getattr(request, REASON, None)
    write_line(
        lines,
        logging.INFO,
        "request",
        method=method if method in METHODS else OTHER_METHOD,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 1),
        reason=scrub(str(reason)) if reason is not None else None,
    )


def _route_of(request: HttpRequest, status: int) -> str:
    if request.resolver_match is not None:
        return f"/{request.resolver_match.route}"
    is_file = status < 400 and request.path_info.startswith(settings.STATIC_URL)
    return STATIC if is_file else NO_ROUTE
