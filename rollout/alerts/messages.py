"""The text of each alert message, true at the moment at which it is sent. Pure: no clock, no database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse

from rollout.alerts.lifecycle import AlertRecord
from rollout.alerts.rules import rule_of
from rollout.models.alerts import Occasion
from rollout.plain import as_plain

SITE = "[Care Collective]"
# What the webhook's body tells of an alert.
_FACTS = (
    *("id", "kind", "key", "severity", "title", "words", "figures", "error_codes", "stage", "disabled_v2"),
    *("opened_at", "resolved_at"),
)


@dataclass(frozen=True, slots=True)
class Present:
    """The rollout as it is when a message is sent."""

    at: datetime
    stage: str
    v2_is_on: bool
    nobody_can_start: bool = False

    @property
    def words(self) -> str:
        if self.nobody_can_start:
            return f"V2 is off and V1 is frozen (stage {self.stage}): nobody can start a conversation."
        if self.v2_is_on:
            return f"V2 is on (stage {self.stage})."
        if self.stage == "disabled":
            return "V2 is off; new conversations use V1."
        return f"V2 is off by itself (stage {self.stage}); new conversations use V1."


@dataclass(frozen=True, slots=True)
class Message:
    """One message, for every channel. `level` is critical, warning, notice, resolved or test."""

    subject: str
    text: str
    level: str
    kind: str
    key: str
    stage: str
    facts: Mapping[str, Any]


def alert_message(alert: AlertRecord, what: str, present: Present) -> Message:
    """Write the message for the beginning or the end of an alert: state, consequence, action, details."""
    is_end = what == Occasion.RESOLVED
    first, rest = _end(alert, present) if is_end else _beginning(alert, present)
    text = "\n".join([f"{_occasion(alert, is_end)}: {first}", *rest, _details(alert, present), link(alert.path)])
    return Message(
        subject=f"{SITE} {_occasion(alert, is_end)}: {first.partition('. ')[0].removesuffix('.')}",
        text=text,
        level="resolved" if is_end else alert.severity,
        kind=alert.kind,
        key=alert.key,
        stage=alert.stage,
        facts={
            **{name: as_plain(getattr(alert, name)) for name in _FACTS},
            "event": f"alert.{what}",
            "sent_at": present.at.isoformat(),
            "stage_when_sent": present.stage,
            "v2_is_on_when_sent": present.v2_is_on,
            "link": link(alert.path),
            "text": text,
        },
    )


def channel_test_message(*, channel: str, asked_by: str) -> Message:
    """Write a message that only shows that the channel works."""
    text = (
        f"Test: alerts of the rollout arrive here by {channel}. {asked_by} asked for this message. Nothing to do.\n"
        f"{link(reverse('admin:rollout_control_room'))}"
    )
    return Message(
        subject=f"{SITE} Test: alerts arrive here", text=text, level="test", kind="test", key="", stage="",
        facts={"event": "test", "text": text},
    )  # fmt: skip


def link(path: str) -> str:
    """Return the address of a page of this site."""
    return f"{settings.SITE_ADDRESS}{path}"


def _occasion(alert: AlertRecord, is_end: bool) -> str:
    return "Resolved" if is_end else alert.severity.capitalize()


def _beginning(alert: AlertRecord, present: Present) -> tuple[str, list[str]]:
    if alert.severity != "notice" and alert.resolved_at is not None and alert.resolved_at <= present.at:
        return alert.words, [f"It is over since {clock(alert.resolved_at)}. {present.words}"]
    consequence = " ".join(filter(None, [rule_of(alert.kind).consequence, present.words]))
    return alert.words, [consequence, f"What to do: {alert.action}"]


def _end(alert: AlertRecord, present: Present) -> tuple[str, list[str]]:
    began = f"It began at {clock(alert.opened_at)}: {alert.words}"
    return f"{_over(alert, present)} {present.words}", [began]


def _over(alert: AlertRecord, present: Present) -> str:
    rule = rule_of(alert.kind)
    if alert.acknowledged_at is not None and rule.ends_when_acknowledged:
        return f"{alert.title}: acknowledged by {alert.acknowledged_by} at {clock(alert.acknowledged_at)}."
    if rule.quiet_seconds is not None:
        return f"{rule.over} for {duration(present.at - alert.last_seen_at)}."
    return f"{rule.over} since {clock(alert.resolved_at or present.at)}."


def _details(alert: AlertRecord, present: Present) -> str:
    stage = f"Stage: {present.stage}"
    if alert.stage != present.stage:
        stage += f" now, {alert.stage} when it began"
    codes: Mapping[str, int] = alert.figures.get("codes") or {}
    named = ", ".join(f"{code} ({count})" for code, count in codes.items())
    return f"{stage}. Began: {clock(alert.opened_at)}." + (f" Error codes: {named}." if named else "")


def clock(at: datetime) -> str:
    """Format a moment to the second, in UTC."""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S} UTC on {at.day} {at:%B %Y}"


def duration(passed: timedelta) -> str:
    """Format a duration, to the minute."""
    minutes = max(1, round(passed.total_seconds() / 60))
    if minutes >= 120:
        return f"{round(minutes / 60)} hours"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
