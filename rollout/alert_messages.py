"""What people are sent about an alert, in the form that each channel takes. Pure: no clock, no database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from rollout.alert_log import Occasion
from rollout.alerts import CONTROL_ROOM, AlertRecord

SITE = "[Care Collective]"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as every channel may send it. `level` is critical, warning, notice, resolved or test."""

    subject: str
    text: str
    level: str
    kind: str
    stage: str
    facts: Mapping[str, Any]


def alert_message(alert: AlertRecord, what: str) -> Message:
    """Word the beginning or the end of an alert."""
    is_over = what == Occasion.RESOLVED
    text = _end(alert) if is_over else _beginning(alert)
    occasion = "Resolved" if is_over else alert.severity.capitalize()
    return Message(
        subject=f"{SITE} {occasion}: {alert.title}",
        text=text,
        level="resolved" if is_over else alert.severity,
        kind=alert.kind,
        stage=alert.stage,
        facts={
            "event": f"alert.{what}",
            "id": alert.id,
            "kind": alert.kind,
            "key": alert.key,
            "severity": alert.severity,
            "title": alert.title,
            "words": alert.words,
            "figures": dict(alert.figures),
            "stage": alert.stage,
            "disabled_v2": alert.disabled_v2,
            "opened_at": alert.opened_at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
            "text": text,
        },
    )


def channel_test_message(*, channel: str, asked_by: str) -> Message:
    """Word a message that only shows that the channel works."""
    text = (
        f"Test: alerts of the rollout arrive here by {channel}. {asked_by} asked for this message. Nothing to do. "
        f"{settings.SITE_ADDRESS}{CONTROL_ROOM}"
    )
    facts = {"event": "test", "text": text}
    return Message(
        subject=f"{SITE} Test: alerts arrive here", text=text, level="test", kind="test", stage="", facts=facts
    )


def _beginning(alert: AlertRecord) -> str:
    v2 = f" V2 was turned off (it was at {alert.stage}); offers go on in V1." if alert.disabled_v2 else ""
    return f"{alert.severity.capitalize()}: {alert.title}. {alert.words}{v2} {alert.action}"


def _end(alert: AlertRecord) -> str:
    lasted = round((alert.resolved_at - alert.opened_at).total_seconds()) if alert.resolved_at else 0
    v2 = " V2 stays off until somebody turns it on again." if alert.disabled_v2 else ""
    return f"Resolved after {_duration(lasted)}: {alert.title}. It began with: {alert.words}{v2}"


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
