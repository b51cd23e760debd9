"""Raises an alert for every change of the rollout: by the guard, by people, or from outside the application."""

from datetime import timedelta

from carecollective.core.database import ClockTimestamp
from rollout.alerts.evidence import FIVE_MINUTES
from rollout.alerts.judges import count_codes
from rollout.alerts.rules import rule_of
from rollout.models import Change, Source
from rollout.models.alerts import CHANGE_KINDS, Alert, Severity
from rollout.promotion import rollbacks
from rollout.stages import DISABLED, Stage, order_key
from rollout.telemetry import metrics
from rollout.versions import MessagingVersion

AT_ONCE = 100
_KINDS: dict[str, str] = {Source.GUARD: "guard_rollback", Source.OUTSIDE: "changed_from_outside"}
# A rollback is recorded at once, unless a session locks the flag's row or the audit log.
RECORDED_WITHIN = timedelta(seconds=10)
# Guard and worker both look, in case one is gone; the key makes it one alert.
_UNTOLD = f"""
SELECT c.* FROM public.rollout_change AS c
WHERE c.id > coalesce((SELECT after_change_id FROM public.rollout_change_alerts_start), 0) AND NOT EXISTS (
  SELECT FROM public.rollout_alert AS a WHERE a.key = c.id::text AND a.kind IN {CHANGE_KINDS})
  AND NOT EXISTS (
    SELECT FROM public.rollout_rollback AS r JOIN public.rollout_alert AS a ON a.key = 'rollback:' || r.id
    WHERE r.change_id = c.id AND a.kind IN {CHANGE_KINDS})
ORDER BY c.id LIMIT %s
"""  # noqa: S608 (names of ours)


def note_changes() -> int:
    """Give every change without an alert one; return how many were new. Safe to call at the same time from anywhere."""
    alerts = [_alert_of(change, key=str(change.pk)) for change in Change.objects.raw(_UNTOLD, [AT_ONCE])]
    alerts += _rollbacks_not_recorded_yet()
    # Another process may have added the same alert meanwhile.
    Alert.objects.bulk_create(alerts, ignore_conflicts=True)
    return len(alerts)


def _rollbacks_not_recorded_yet() -> list[Alert]:
    """Return alerts for rollbacks in force that a lock keeps out of the record; their changes get no second alert."""
    found = {f"rollback:{pk}": change for pk, change in rollbacks.list_waiting(for_at_least=RECORDED_WITHIN).items()}
    if not found:
        return []
    told = set(Alert.objects.filter(key__in=found, kind__in=CHANGE_KINDS).values_list("key", flat=True))
    return [_alert_of(change, key=key) for key, change in found.items() if key not in told]


def _alert_of(change: Change, *, key: str) -> Alert:
    kind = _KINDS.get(change.source, "stage_changed")
    rule = rule_of(kind)
    stage = change.to_stage or str(DISABLED)
    return Alert(
        kind=kind,
        key=key,
        severity=rule.severity,
        opened_at=change.at,
        last_seen_at=ClockTimestamp(),
        # A notice needs no action: it is sent once and resolved at once.
        resolved_at=ClockTimestamp() if rule.severity is Severity.NOTICE else None,
        words=_describe(change),
        figures={
            "change": change.pk,
            "source": change.source,
            "from": change.from_stage,
            "to": change.to_stage,
            "v1_writes": change.to_v1_writes,
            "override": change.override,
            "by": change.actor_label,
            **({"codes": _codes_before(change)} if kind == "guard_rollback" else {}),
        },
        stage=change.from_stage or stage if kind == "guard_rollback" else stage,
        disabled_v2=kind == "guard_rollback",
    )


def _describe(change: Change) -> str:
    """Describe in one line what changed, by whom and why."""
    reason = " ".join(change.reason.split())
    if change.source == Source.GUARD:
        return f"The guard turned V2 off (it was at {change.from_stage}). {reason}"
    who = f"the database role {change.database_role}" if change.source == Source.OUTSIDE else change.actor_label
    override = " past what was missing (override)" if change.override else ""
    return f"{_what_changed(change)}{override}, by {who}. Reason: {reason}"


def _what_changed(change: Change) -> str:
    before, after = change.from_stage, change.to_stage
    if after is None:
        return f"The rollout's row was deleted (it was at {before})"
    if before is None:
        return f"The rollout's row was created at {after}"
    if before == after:
        if change.from_v1_writes == change.to_v1_writes:
            return f"The rollout's row was written again at {after}"
        return "V1 writes were turned on" if change.to_v1_writes else "V1 writes were turned off"
    if after == str(DISABLED):
        return f"V2 was rolled back from {before} to {after}"
    way = "up" if order_key(Stage.parse(after)) > order_key(Stage.parse(before)) else "down"
    return f"V2 moved {way} from {before} to {after}"


def _codes_before(change: Change) -> dict[str, int]:
    """Count the failures that V2 ended with in the five minutes before, by code."""
    period = metrics.Span(change.at - timedelta(seconds=FIVE_MINUTES), change.at)
    return dict(count_codes(metrics.endings(period), version=MessagingVersion.V2))
