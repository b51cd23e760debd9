"""The guard's tables: its lease, the latest trial of V1, alerts, and their delivery."""

from django.db import models
from django.db.models import F, Q

from carecollective.core.database import ClockTimestamp

# The alerts about changes of the rollout; their key is the change's id.
CHANGE_KINDS = ("guard_rollback", "changed_from_outside", "stage_changed")


class Severity(models.TextChoices):
    CRITICAL = "critical", "Critical"
    WARNING = "warning", "Warning"
    NOTICE = "notice", "Notice"  # needs no action: sent once, and over at once


class Occasion(models.TextChoices):
    """Why a message is sent: an alert began or ended, or somebody tests the channel."""

    OPENED = "opened", "Opened"
    RESOLVED = "resolved", "Resolved"
    TEST = "test", "Test"


class GuardLease(models.Model):
    """Which guard last checked the metrics, and when. One row; without it, or a minute after, V2 is off."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    holder = models.TextField()
    renewed_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "rollout_guard_lease"
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="rollout_guard_lease_is_one_row")]

    def __str__(self) -> str:
        return self.holder


class V1Trial(models.Model):
    """How the latest trial start in V1 ended. One row; none before the first trial.

    `error_code` is empty when it worked; `failures` counts the failures in a row since the rollback.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField(db_default=ClockTimestamp())
    error_code = models.TextField(default="")
    failures = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "rollout_v1_trial"
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="rollout_v1_trial_is_one_row")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC, {self.error_code or 'worked'}"


class Alert(models.Model):
    """Something that is wrong now and that people must know. One open alert of each kind and key.

    `key` tells alerts of one kind apart, by the id of a change for example. `words` and `figures` describe the beginning;
    damage that stays until repaired may grow, and then they describe the state at `worsened_at`. They never hold a
    member's text.
    """

    kind = models.TextField()
    key = models.TextField(default="", db_default="")
    severity = models.TextField(choices=Severity.choices)
    opened_at = models.DateTimeField(db_default=ClockTimestamp())
    last_seen_at = models.DateTimeField(db_default=ClockTimestamp())
    worsened_at = models.DateTimeField(db_default=ClockTimestamp())
    resolved_at = models.DateTimeField(null=True)
    words = models.TextField()
    figures = models.JSONField(default=dict)
    stage = models.TextField()
    disabled_v2 = models.BooleanField(default=False)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by_id = models.UUIDField(null=True)
    acknowledged_by_label = models.TextField(default="", db_default="")

    class Meta:
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "key"], condition=Q(resolved_at=None), name="rollout_alert_one_open_of_kind_and_key"
            ),
            # Guard and worker both look for changes; each change gets one alert, open or resolved.
            models.UniqueConstraint(
                fields=["key"], condition=Q(kind__in=CHANGE_KINDS), name="rollout_alert_one_for_each_change"
            ),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="rollout_alert_severity_is_known"),
            models.CheckConstraint(
                condition=Q(resolved_at=None) | Q(resolved_at__gte=F("opened_at")),
                name="rollout_alert_ends_after_it_began",
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at=None, acknowledged_by_label="")
                | (Q(acknowledged_at__isnull=False) & ~Q(acknowledged_by_label="")),
                name="rollout_alert_acknowledged_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}, {'resolved' if self.resolved_at else 'open'}"


class ChangeAlertsStart(models.Model):
    """The last change before changes had alerts; only later ones get one. One row, written by a migration."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    after_change_id = models.BigIntegerField()

    class Meta:
        db_table = "rollout_change_alerts_start"
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="rollout_change_alerts_start_is_one_row")]

    def __str__(self) -> str:
        return f"after change {self.after_change_id}"


class Delivery(models.Model):
    """One message over one channel, tried until it is delivered or until `next_try_at` is empty.

    A test message has no alert and is tried once. `error` says why the latest attempt failed, at `failed_at`.
    """

    alert = models.ForeignKey(Alert, models.CASCADE, null=True, related_name="deliveries")
    channel = models.TextField()
    what = models.TextField(choices=Occasion.choices)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, db_default=ClockTimestamp())
    delivered_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.TextField(default="")
    requested_by_id = models.UUIDField(null=True)
    requested_by_label = models.TextField(default="", db_default="")

    class Meta:
        default_permissions = ()
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["alert", "channel", "what"], name="rollout_delivery_once_a_channel"),
            models.CheckConstraint(condition=Q(what__in=Occasion.values), name="rollout_delivery_occasion_is_known"),
            models.CheckConstraint(
                condition=(Q(what=Occasion.TEST) & Q(alert=None)) | (~Q(what=Occasion.TEST) & Q(alert__isnull=False)),
                name="rollout_delivery_is_about_an_alert_or_a_test",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.what} by {self.channel}"
