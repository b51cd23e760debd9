"""Alerts as they open, stay and end. The guard writes them; pages, the API and the timeline read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from carecollective.core.database import ClockTimestamp
from rollout.alert_log import Alert
from rollout.alert_rules import ONE_MINUTE, Finding, rule_of
from rollout.stages import Stage

ABSENCE = "guard_absent"


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as people are told of it."""

    id: int
    kind: str
    severity: str
    title: str
    action: str
    opened_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    words: str
    figures: Mapping[str, Any]
    stage: str
    disabled_v2: bool


def open_alerts() -> tuple[AlertRecord, ...]:
    """Return the open alerts, the critical ones first, the latest of each first."""
    return tuple(record_of(one) for one in Alert.objects.filter(resolved_at=None).order_by("severity", "-id"))


def recent_alerts(limit: int = 50) -> tuple[AlertRecord, ...]:
    """Return the latest alerts, open or not, the latest first."""
    return tuple(record_of(one) for one in Alert.objects.order_by("-opened_at", "-id")[:limit])


def record_of(alert: Alert) -> AlertRecord:
    rule = rule_of(alert.kind)
    return AlertRecord(
        id=alert.pk,
        kind=alert.kind,
        severity=alert.severity,
        title=rule.title if rule else alert.kind,
        action=rule.action if rule else "",
        opened_at=alert.opened_at,
        last_seen_at=alert.last_seen_at,
        resolved_at=alert.resolved_at,
        words=alert.words,
        figures=alert.figures,
        stage=alert.stage,
        disabled_v2=alert.disabled_v2,
    )


def note(finding: Finding, *, stage: Stage) -> Alert:
    """Open an alert for a finding or keep the open one going, and return it.

    While an alert that silences this kind is open, that one stands for it and is left as it is.
    """
    standing = Alert.objects.filter(resolved_at=None)
    if own := standing.filter(kind=finding.rule.kind).first():
        own.last_seen_at = ClockTimestamp()
        fields = ["last_seen_at"]
        if finding.total is not None and finding.total > own.figures.get("total", 0):
            own.worsened_at, own.words, own.figures = ClockTimestamp(), finding.words, dict(finding.figures)
            fields += ["worsened_at", "words", "figures"]
        own.save(update_fields=fields)
        return own
    if other := standing.filter(kind__in=finding.rule.silenced_by).first():
        return other
    return Alert.objects.create(
        kind=finding.rule.kind,
        severity=finding.rule.severity,
        words=finding.words,
        figures=dict(finding.figures),
        stage=str(stage),
    )


def calls_for_action(finding: Finding, *, alert: Alert | None, stage_since: datetime | None) -> bool:
    """Tell whether a finding is news to this stage.

    Evidence that stays until it is repaired was known to whoever moved the rollout after it: only more of it counts.
    """
    if finding.total is None or alert is None or stage_since is None:
        return True
    return Alert.objects.filter(pk=alert.pk, worsened_at__gt=stage_since).exists()


def mark_disabled(alert: Alert) -> None:
    """Keep with the alert that V2 went off for it."""
    Alert.objects.filter(pk=alert.pk).update(disabled_v2=True)


def resolve_quiet() -> int:
    """End the alerts of which nothing was seen for as long as their rule waits; return how many."""
    resolved = 0
    for kind in Alert.objects.filter(resolved_at=None).order_by("kind").values_list("kind", flat=True):
        rule = rule_of(kind)
        quiet = timedelta(seconds=rule.quiet_seconds if rule else ONE_MINUTE)
        over = Alert.objects.filter(kind=kind, resolved_at=None, last_seen_at__lt=ClockTimestamp() - quiet)
        resolved += over.update(resolved_at=ClockTimestamp())
    return resolved


def record_absence(*, began_at: datetime, until: datetime, stage: Stage) -> Alert:
    """Record that nobody watched between two moments, as an alert that is over."""
    rule = rule_of(ABSENCE)
    assert rule is not None  # noqa: S101 (a line of our own table)
    seconds = (until - began_at).total_seconds()
    return Alert.objects.create(
        kind=ABSENCE,
        severity=rule.severity,
        opened_at=began_at,
        last_seen_at=until,
        worsened_at=began_at,
        resolved_at=until,
        words=(
            f"No guard watched the rollout from {began_at:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC. "
            "V2 was off by itself for as long."
        ),
        figures={"seconds": round(seconds)},
        stage=str(stage),
    )
