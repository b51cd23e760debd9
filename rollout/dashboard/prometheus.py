"""The metrics at /metrics: counters of every process of the site, and the rollout's state from the database."""

import hmac
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from carecollective.core import errors
from carecollective.core.database import fetch_all
from carecollective.observability import metric_files
from carecollective.web.access import counted
from carecollective.web.api import status_of
from carecollective.web.health import read_heartbeat
from rollout.alerts.rules import RULES, is_known
from rollout.stages import StageKind
from rollout.targeting import snapshot
from rollout.targeting.guard_lease import read_lease
from rollout.telemetry import metrics as operations_metrics


class RolloutCollector(Collector):
    """The rollout's state, read at each scrape. Without the database only `carecollective_database_up 0` is left."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = [*_of_flag(), *_of_conversations(), *_of_alerts(), *_of_helpers()]
            up = 1
        except DatabaseError:
            found, up = [], 0
        yield _gauge("carecollective_database_up", "Whether the database answered.", up)
        if (age := snapshot.age_seconds()) is not None:
            description = "How old the answering process's view of the rollout is."
            yield _gauge("carecollective_snapshot_age_seconds", description, age)
        yield from found


def _gauge(name: str, description: str, value: float | Mapping[Any, float], *labels: str) -> Metric:
    """Make a gauge of one value, or of a value for each combination of labels."""
    family = GaugeMetricFamily(name, description, labels=labels)
    for key, one in value.items() if isinstance(value, Mapping) else [((), value)]:
        family.add_metric(key, one)
    return family


def _of_flag() -> Iterator[Metric]:
    state = snapshot.current()
    stages = {(kind.value,): float(state.stage.kind is kind) for kind in StageKind}
    yield _gauge("carecollective_rollout_stage", "1 for the stage that the rollout is in.", stages, "stage")
    shares = {StageKind.ENABLED: 100.0, StageKind.PERCENTAGE: state.stage.permille / 10}
    share = shares.get(state.stage.kind, 0.0)
    yield _gauge("carecollective_rollout_percent", "The share of members in V2 by percentage, 0 to 100.", share)
    yield _gauge("carecollective_rollout_v1_writes", "Whether V1 takes new messages.", float(state.v1_writes))


def _of_conversations() -> Iterator[Metric]:
    found = operations_metrics.active_conversations(hours=24)
    for name, description, field in (
        ("carecollective_conversations_active", "Active conversations by version.", "active"),
        (
            "carecollective_conversations_new_this_week",
            "Active conversations opened in the last 7 days, by version.",
            "new_this_week",
        ),
        ("carecollective_conversations_new_today", "Conversations opened in the last 24 hours, by version.", "new"),
    ):
        yield _gauge(name, description, {(one.version,): getattr(one, field) for one in found}, "version")
    adopted = operations_metrics.adoption(found)
    if adopted.share is not None:
        description = "The share of V2 in the conversations opened in the last 24 hours; absent where none was."
        yield _gauge("carecollective_adoption_ratio", description, adopted.share)


def _of_alerts() -> Iterator[Metric]:
    opened = {(rule.kind, str(rule.severity)): 0 for rule in RULES if rule.severity != "notice"}
    query = "SELECT kind, severity, count(*) FROM rollout_alert WHERE resolved_at IS NULL GROUP BY kind, severity"
    for kind, severity, count in fetch_all(query):
        known = kind if is_known(kind) else "other"
        opened[known, severity] = opened.get((known, severity), 0) + count
    values = dict(sorted(opened.items()))
    yield _gauge("carecollective_open_alerts", "Open alerts, by what they are about.", values, "kind", "severity")


def _of_helpers() -> Iterator[Metric]:
    """Tell when the guard and the worker gave their last sign of life."""
    lease = read_lease()
    if lease is not None and lease.renewed_at is not None:
        description = "How long ago the guard last gave a sign of life."
        yield _gauge("carecollective_guard_lease_age_seconds", description, lease.age_seconds)
    if (age := read_heartbeat()[0]) is not None:
        description = "How long ago the worker last gave a sign of life."
        yield _gauge("carecollective_worker_heartbeat_age_seconds", description, age)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer Prometheus, and nobody else."""
    if not _may_read(request):
        return JsonResponse(errors.envelope(errors.NotPermitted()), status=status_of(errors.NotPermitted))
    return HttpResponse(render(), content_type=CONTENT_TYPE_LATEST)


def render() -> bytes:
    """Return all metrics in Prometheus' text format, summed over the processes of the site."""
    home = metric_files.folder()
    if home is None:
        counters = generate_latest(counted)
    else:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        with metric_files.locked(home):
            counters = generate_latest(registry)
    state = CollectorRegistry()
    state.register(RolloutCollector())
    return counters + generate_latest(state)


def _may_read(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    if settings.METRICS_TOKEN and hmac.compare_digest(given.encode(), wanted.encode()):
        return True
    # Behind a proxy every caller has the proxy's address: only a token tells them apart.
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        caller = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return any(caller in network for network in settings.METRICS_ALLOW)
