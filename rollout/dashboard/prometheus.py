"""What Prometheus reads at /metrics: counters of every process of the site, and the rollout's state as the database has it."""

import hmac
from collections.abc import Iterator
from ipaddress import ip_address

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from carecollective.core import errors
from carecollective.observability import metric_files
from carecollective.web.access import counted
from carecollective.web.api import status_of
from rollout.alerts.rules import RULES, is_known
from rollout.stages import StageKind
from rollout.targeting import snapshot
from rollout.targeting.guard_lease import read_lease
from rollout.telemetry import metrics as operations_metrics
from rollout.versions import MessagingVersion


class RolloutCollector(Collector):
    """The rollout's state, read at each scrape; without the database only `carecollective_database_up 0` is left of it."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = [*self._of_flag(), *self._of_conversations(), *self._of_alerts(), *self._of_helpers()]
            up = 1
        except DatabaseError:
            found, up = [], 0
        yield GaugeMetricFamily("carecollective_database_up", "Whether the database answered.", value=up)
        age = snapshot.age_seconds()
        if age is not None:
            yield GaugeMetricFamily(
                "carecollective_snapshot_age_seconds",
                "How old the answering process's view of the rollout is.",
                value=age,
            )
        yield from found

    def _of_flag(self) -> Iterator[Metric]:
        state = snapshot.current()
        stages = GaugeMetricFamily(
            "carecollective_rollout_stage", "1 for the stage that the rollout is in.", labels=["stage"]
        )
        for kind in StageKind:
            stages.add_metric([kind.value], float(state.stage.kind is kind))
        yield stages
        shares = {StageKind.ENABLED: 100.0, StageKind.PERCENTAGE: state.stage.permille / 10}
        yield GaugeMetricFamily(
            "carecollective_rollout_percent",
            "The share of members in V2 by percentage, 0 to 100.",
            value=shares.get(state.stage.kind, 0.0),
        )
        yield GaugeMetricFamily(
            "carecollective_rollout_v1_writes", "Whether V1 takes new messages.", value=float(state.v1_writes)
        )

    def _of_conversations(self) -> Iterator[Metric]:
        found = operations_metrics.active_conversations(hours=24)
        active = GaugeMetricFamily(
            "carecollective_conversations_active", "Active conversations by version.", labels=["version"]
        )
        new = GaugeMetricFamily(
            "carecollective_conversations_new_this_week",
            "Active conversations opened in the last 7 days, by version.",
            labels=["version"],
        )
        recent = GaugeMetricFamily(
            "carecollective_conversations_new_today",
            "Conversations opened in the last 24 hours, by version.",
            labels=["version"],
        )
        for conversations in found:
            active.add_metric([conversations.version], conversations.active)
            new.add_metric([conversations.version], conversations.new_this_week)
            recent.add_metric([conversations.version], conversations.new)
        yield from (active, new, recent)
        total = sum(conversations.new for conversations in found)
        v2 = sum(conversations.new for conversations in found if conversations.version == MessagingVersion.V2)
        if total:
            yield GaugeMetricFamily(
                "carecollective_adoption_ratio",
                "The share of V2 in the conversations opened in the last 24 hours; absent where none was.",
                value=v2 / total,
            )

    def _of_alerts(self) -> Iterator[Metric]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT kind, severity, count(*) FROM rollout_alert WHERE resolved_at IS NULL GROUP BY kind, severity"
            )
            found = cursor.fetchall()
        opened = {(rule.kind, str(rule.severity)): 0 for rule in RULES if rule.severity != "notice"}
        for kind, severity, count in found:
            known = kind if is_known(kind) else "other"
            opened[known, severity] = opened.get((known, severity), 0) + count
        alerts = GaugeMetricFamily(
            "carecollective_open_alerts", "Open alerts, by what they are about.", labels=["kind", "severity"]
        )
        for labels, count in sorted(opened.items()):
            alerts.add_metric(labels, count)
        yield alerts

    def _of_helpers(self) -> Iterator[Metric]:
        """Tell when the guard and the worker were last heard."""
        lease = read_lease()
        if lease is not None and lease.renewed_at is not None:
            yield GaugeMetricFamily(
                "carecollective_guard_lease_age_seconds",
                "How long ago the guard last gave a sign of life.",
                value=lease.age_seconds,
            )
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM clock_timestamp() - beat_at)::float FROM core_workerheartbeat WHERE name = 'worker'"
            )
            row = cursor.fetchone()
        if row is not None:
            yield GaugeMetricFamily(
                "carecollective_worker_heartbeat_age_seconds",
                "How long ago the worker last gave a sign of life.",
                value=row[0],
            )


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
