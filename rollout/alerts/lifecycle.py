"""Alerts: how they open, go on and end, and the records that pages, the API and messages are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import NotPermitted
from carecollective.core.waiting import WaitingQuery, when_they_came
from carecollective.formats.moments import moment
from rollout.alerts.evidence import Finding
from rollout.alerts.rules import rule_of
from rollout.errors import AlertNotFound
from rollout.models.alerts import Alert, Delivery, Occasion, Severity
from rollout.plain import record_from
from rollout.stages import Stage

ABSENCE = "guard_absent"
# How long after it was last seen an alert still silences a weaker one: until the weaker one's window has passed.
SILENCES_FOR = timedelta(minutes=6)
# How long an ended alert may still go on; people are told of its end only after that.
REOPENS_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One message over one channel: when it arrived, or why it has not yet."""

    id: int
    channel: str
    what: Occasion
    attempts: int
    delivered_at: datetime | None
    failed_at: datetime | None
    error: str
    next_try_at: datetime | None  # None once it is delivered or given up


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert with its rule's texts and its messages. What people read of an alert is made from this."""

    id: int
    kind: str
    key: str
    severity: Severity
    title: str
    action: str
    opened_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    words: str
    figures: Mapping[str, Any]
    stage: str
    disabled_v2: bool
    acknowledged_at: datetime | None
    acknowledged_by: str
    deliveries: tuple[DeliveryRecord, ...] = ()

    @property
    def error_codes(self) -> tuple[str, ...]:
        """The codes that it is about, the most frequent first."""
        return tuple(self.figures.get("codes", {}))

    @property
    def path(self) -> str:
        """Where the control room shows it."""
        return f"{reverse('admin:rollout_control_room')}#alert-{self.id}"

    @property
    def told_at(self) -> datetime | None:
        """When the first message about its beginning arrived; None while none has."""
        told = [one.delivered_at for one in self.deliveries if one.what == Occasion.OPENED and one.delivered_at]
        return min(told, default=None)


def open_alerts() -> tuple[AlertRecord, ...]:
    """Return the open alerts, by severity and then the latest first."""
    return _records(Alert.objects.filter(resolved_at=None).order_by("severity", "-id"))


def alerts_waiting() -> WaitingQuery:
    """Ask for the open alerts that nobody has taken on."""
    return when_they_came(Alert.objects.filter(resolved_at=None, acknowledged_at=None), "opened_at")


def recent_alerts(limit: int = 50) -> tuple[AlertRecord, ...]:
    """Return the latest alerts, open or not, the latest first."""
    return _records(Alert.objects.order_by("-opened_at", "-id")[:limit])


def _records(found: QuerySet[Alert]) -> tuple[AlertRecord, ...]:
    return tuple(
        alert_record(one, deliveries=tuple(map(delivery_record, one.deliveries.all())))
        for one in found.prefetch_related("deliveries")
    )


def delivery_record(delivery: Delivery) -> DeliveryRecord:
    return record_from(delivery, DeliveryRecord, what=Occasion(delivery.what))


def alert_record(alert: Alert, *, deliveries: tuple[DeliveryRecord, ...] = ()) -> AlertRecord:
    """Put an alert and its rule into one record."""
    rule = rule_of(alert.kind)
    return record_from(
        alert,
        AlertRecord,
        severity=Severity(alert.severity),
        title=rule.title,
        action=rule.action,
        acknowledged_by=alert.acknowledged_by_label,
        deliveries=deliveries,
    )


@transaction.atomic
def acknowledge(*, actor: User, alert_id: int) -> AlertRecord:
    """Record that somebody takes care of this alert. Only the first person is recorded.

    Ends the alert where its rule says so. Raises NotPermitted without the permission to see the control room, and
    AlertNotFound.
    """
    if not actor.has_perm("rollout.view"):
        raise NotPermitted
    alert = Alert.objects.filter(pk=alert_id).first()
    if alert is None:
        raise AlertNotFound
    Alert.objects.filter(pk=alert_id, acknowledged_at=None).update(
        acknowledged_at=ClockTimestamp(), acknowledged_by_id=actor.pk, acknowledged_by_label=str(actor)
    )
    if rule_of(alert.kind).ends_when_acknowledged:
        Alert.objects.filter(pk=alert_id, resolved_at=None).update(resolved_at=ClockTimestamp())
    (record,) = _records(Alert.objects.filter(pk=alert_id))
    return record


def raise_alert(finding: Finding, *, stage: Stage, key: str = "") -> Alert:
    """Open an alert for a finding, or keep the open one going, and return it.

    An alert that ended a moment ago goes on: a flap is one alert. While a stronger alert of the same cause is open, that
    one is returned, unchanged.
    """
    rule, now = finding.rule, ClockTimestamp()
    severity = finding.severity or rule.severity
    standing = Alert.objects.filter(resolved_at=None)
    own = standing.filter(kind=rule.kind, key=key).first()
    if own is not None and _needs_another(own, severity=severity, stage=stage, of_stage=rule.of_stage):
        resolve(own.kind, key=own.key)
        own = None
    if own is None:
        stronger = standing.filter(kind__in=rule.silenced_by, last_seen_at__gt=now - SILENCES_FOR)
        if other := stronger.first():
            return other
        own = _reopen(finding, severity=severity, stage=stage, key=key)
    described = {"words": finding.words, "figures": dict(finding.figures)}
    if own is None:
        values = {"severity": severity, "stage": str(stage), **described}
        own, _is_new = Alert.objects.get_or_create(kind=rule.kind, key=key, resolved_at=None, defaults=values)
        return own
    seen: dict[str, Any] = {"last_seen_at": now}
    if finding.total is not None and finding.total > own.figures.get("total", 0):
        seen |= {"worsened_at": now, **described}
    return _update(own, **seen)


def raise_or_resolve(
    kind: str, message: str, *, stage: Stage, total: int | None = None, severity: Severity | None = None
) -> bool:
    """Raise the alert of a kind while `message` says what is wrong; resolve it when that is empty."""
    if not message:
        resolve(kind)
        return False
    figures = {} if total is None else {"total": total}
    raise_alert(Finding(rule_of(kind), message, figures, total=total, severity=severity), stage=stage)
    return True


def _needs_another(alert: Alert, *, severity: Severity, stage: Stage, of_stage: bool) -> bool:
    """Tell whether a finding needs an alert of its own: it is worse, or of another stage."""
    is_worse = severity is Severity.CRITICAL and alert.severity != Severity.CRITICAL
    return is_worse or (of_stage and alert.stage != str(stage))


def _reopen(finding: Finding, *, severity: Severity, stage: Stage, key: str) -> Alert | None:
    """Reopen an alert that ended so recently that nobody was told; None if there is none."""
    ended = Alert.objects.filter(kind=finding.rule.kind, key=key, resolved_at__gt=ClockTimestamp() - REOPENS_WITHIN)
    lately = ended.order_by("-id").first()
    if lately is None or _needs_another(lately, severity=severity, stage=stage, of_stage=finding.rule.of_stage):
        return None
    described = {"words": finding.words, "figures": dict(finding.figures)}
    try:
        with transaction.atomic():
            return _update(lately, resolved_at=None, worsened_at=ClockTimestamp(), **described)
    except IntegrityError:
        # Another process has opened one meanwhile; the caller finds it.
        return None


def _update(alert: Alert, **values: Any) -> Alert:
    for name, value in values.items():
        setattr(alert, name, value)
    alert.save(update_fields=values)
    return alert


def may_turn_off(finding: Finding, *, alert: Alert | None, stage_since: datetime | None) -> bool:
    """Tell whether a finding may turn V2 off: always, except damage that was there before this stage began.

    Damage stays until it is repaired: whoever changed the stage after it knew of it, so only more of it counts.
    """
    if finding.total is None or alert is None or stage_since is None:
        return True
    return Alert.objects.filter(pk=alert.pk, worsened_at__gt=stage_since).exists()


def mark_disabled(alert: Alert) -> None:
    """Record that V2 was turned off because of this alert."""
    Alert.objects.filter(pk=alert.pk).update(disabled_v2=True)


def resolve(kind: str, *, key: str = "") -> bool:
    """End the open alert of a kind and key. Return whether there was one."""
    return bool(Alert.objects.filter(kind=kind, key=key, resolved_at=None).update(resolved_at=ClockTimestamp()))


def resolve_quiet() -> int:
    """End the alerts that were quiet for as long as their rule asks. Return how many."""
    resolved = 0
    for kind in Alert.objects.filter(resolved_at=None).order_by("kind").values_list("kind", flat=True).distinct():
        quiet_seconds = rule_of(kind).quiet_seconds
        if quiet_seconds is None:
            continue
        quiet = timedelta(seconds=quiet_seconds)
        over = Alert.objects.filter(kind=kind, resolved_at=None, last_seen_at__lt=ClockTimestamp() - quiet)
        resolved += over.update(resolved_at=ClockTimestamp())
    return resolved


def record_absence(*, began_at: datetime, until: datetime, stage: Stage) -> Alert:
    """Record that no guard watched between two moments: end the open alert, or add one that is over."""
    words = (
        f"No guard watched the rollout from {moment(began_at, 'second')} to {moment(until, 'second')}. "
        "V2 was off by itself for as long."
    )
    figures = {"seconds": round((until - began_at).total_seconds())}
    standing = Alert.objects.filter(kind=ABSENCE, key="", resolved_at=None).first()
    if standing is not None:
        now = ClockTimestamp()
        return _update(standing, words=words, figures=figures, resolved_at=now, last_seen_at=now)
    return Alert.objects.create(
        kind=ABSENCE,
        severity=rule_of(ABSENCE).severity,
        opened_at=began_at,
        last_seen_at=until,
        worsened_at=began_at,
        resolved_at=until,
        words=words,
        figures=figures,
        stage=str(stage),
    )
