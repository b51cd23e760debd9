import uuid

from django.conf import settings
from django.db import models

from carecollective.core.database import ClockTimestamp


class WorkerHeartbeat(models.Model):
    """The background worker's last sign of life, and its tasks that hang (paths, separated by spaces)."""

    name = models.CharField(max_length=40, primary_key=True)
    beat_at = models.DateTimeField(db_default=ClockTimestamp())
    stuck_tasks = models.TextField(db_default="")

    def __str__(self) -> str:
        return self.name


class RateLimitHit(models.Model):
    """One use of a rate-limited action by a member."""

    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_index=False, related_name="+")
    action = models.CharField(max_length=40)
    at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        indexes = [models.Index(fields=["member", "action", "at"], name="rate_limit_by_member")]

    def __str__(self) -> str:
        return f"{self.action} by {self.member_id}"


class ClientRateLimitHit(models.Model):
    """One use of a rate-limited action by a client, known by a keyed hash of its IP address. Deleted after an hour."""

    client = models.CharField(max_length=32)
    action = models.CharField(max_length=40)
    at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        indexes = [models.Index(fields=["client", "action", "at"], name="rate_limit_by_client")]

    def __str__(self) -> str:
        return f"{self.action} at {self.at}"


class WriteProbe(models.Model):
    """The table that the health check tries to write to. It stays empty: each try is rolled back."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    filler = models.TextField()

    def __str__(self) -> str:
        return f"Probe {self.pk}"


class RetentionPeriod(models.Model):
    """For how many days one kind of data is kept. The owner writes it at each start; the web role cannot."""

    kind = models.TextField(primary_key=True)
    days = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=models.Q(days__gte=1), name="core_retention_of_a_day_at_least"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.days} days"
