"""Counters of starts and sends, in every process of the site."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from carecollective.web.access import DURATION_BUCKETS, counted
from rollout.telemetry.outcomes import FAILURE_CODES, Event, Method, Outcome
from rollout.versions import MessagingVersion

NO_VERSION = "none"

OPERATIONS = Counter(
    "carecollective_operations",
    "Starts and sends as they ended: success, refused (the member's own reason) or failed (ours).",
    ("version", "method", "outcome", "code"),
    registry=counted,
)
DURATION = Histogram(
    "carecollective_operation_duration_seconds",
    "How long starts and sends took.",
    ("version", "method", "outcome"),
    buckets=DURATION_BUCKETS,
    registry=counted,
)
CONNECTION_ERRORS = Counter(
    "carecollective_connection_errors", "Operations that could not reach the database.", registry=counted
)
WAITING = Gauge(
    "carecollective_events_waiting",
    "Events that are not in the table yet.",
    multiprocess_mode="livesum",
    registry=counted,
)
DROPPED = Gauge(
    "carecollective_events_dropped",
    "Events that were given up because too many waited.",
    multiprocess_mode="sum",
    registry=counted,
)


def observe(event: Event) -> None:
    """Count one event in this process."""
    version = event.version.value if event.version else NO_VERSION
    operations, durations = _series(version, event.method.value, event.outcome.value, event.error_code or "")
    operations.inc()
    durations.observe(event.duration_ms / 1000)
    if event.connection_error:
        CONNECTION_ERRORS.inc()


@cache
def _series(version: str, method: str, outcome: str, code: str) -> tuple[Counter, Histogram]:
    return OPERATIONS.labels(version, method, outcome, code), DURATION.labels(version, method, outcome)


def observe_spool(*, waiting: int, dropped: int) -> None:
    """Set how many events of this process wait, and how many it has dropped."""
    WAITING.set(waiting)
    DROPPED.set(dropped)


def begin_at_zero() -> None:
    """Create the series that alerts divide by at zero: a rate does not see a counter's first step."""
    endings = [(Outcome.SUCCESS, ""), *((Outcome.FAILED, code) for code in FAILURE_CODES)]
    for version in MessagingVersion:
        for method in Method:
            for outcome, code in (*endings, (Outcome.REFUSED, "conversation_exists")):
                OPERATIONS.labels(version.value, method.value, outcome.value, code)
    # One slow call is enough for an alert, with any outcome, even before its version is known.
    for known in (*MessagingVersion, NO_VERSION):
        for method in (Method.START, Method.SEND):
            for outcome in Outcome:
                DURATION.labels(str(known), method.value, outcome.value)


begin_at_zero()
