"""The guard's tables: its sign of life, the alerts it opened, and the messages that carry them to people."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from carecollective.core.database import ClockTimestamp


class Severity(models.TextChoices):
    CRITICAL = "critical", "Critical"
    WARNING = "warning", "Warning"


class Occasion(models.TextChoices):
    """What a message tells of an alert."""

    OPENED = "opened", "Opened"
    RESOLVED = "resolved", "Resolved"


class GuardLease(models.Model):
    """When a guard last looked at the figures, and which one. One row; without it, or a minute after, V2 is off."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    holder = models.TextField()
    renewed_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "rollout_guard_lease"
        default_permissions = ()
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="rollout_guard_lease_is_one_row")]

    def __str__(self) -> str:
        return self.holder


class Alert(models.Model):
    """Something that people must know of, from when it began until it is over. One open alert of each kind.

    `words` and `figures` are those of its beginning, or of `worsened_at` once more came of what stays until it is repaired.
    Never a word that a member wrote.
    """

    kind = models.TextField()
    severity = models.TextField(choices=Severity.choices)
    opened_at = models.DateTimeField(db_default=ClockTimestamp())
    last_seen_at = models.DateTimeField(db_default=ClockTimestamp())
    worsened_at = models.DateTimeField(db_default=ClockTimestamp())
    resolved_at = models.DateTimeField(null=True)
    words = models.TextField()
    figures = models.JSONField(default=dict)
    stage = models.TextField()
    disabled_v2 = models.BooleanField(default=False)

    class Meta:
        db_table = "rollout_alert"
        default_permissions = ()
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind"], condition=Q(resolved_at=None), name="rollout_alert_one_open_a_kind"
            ),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="rollout_alert_severity_is_known"),
            models.CheckConstraint(
                condition=Q(resolved_at=None) | Q(resolved_at__gte=F("opened_at")),
                name="rollout_alert_ends_after_it_began",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}, {'resolved' if self.resolved_at else 'open'}"


class Delivery(models.Model):
    """One message about one alert over one channel. Tried until it is delivered, or until `next_try_at` is empty."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="deliveries")
    channel = models.TextField()
    what = models.TextField(choices=Occasion.choices)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, db_default=ClockTimestamp())
    delivered_at = models.DateTimeField(null=True)
    error = models.TextField(default="")

    class Meta:
        db_table = "rollout_delivery"
        default_permissions = ()
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["alert", "channel", "what"], name="rollout_delivery_once_a_channel"),
            models.CheckConstraint(condition=Q(what__in=Occasion.values), name="rollout_delivery_occasion_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.what} by {self.channel}"
