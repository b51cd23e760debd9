"""The table of what was measured."""

from typing import ClassVar

from django.db import models

from carecollective.core.database import ClockTimestamp


class EventLog(models.Model):
    """One start or send, in either version, as it ended; rows are only ever added, and go when they are too old.

    The identities are no foreign keys: an event outlives what it is about, and a lock there must not hold it up.
    `key` makes a repeat after a lost answer harmless.
    """

    key = models.UUIDField(unique=True)
    timestamp = models.DateTimeField(db_default=ClockTimestamp())
    service = models.TextField()
    method = models.TextField()
    event = models.TextField()
    log_level = models.TextField()
    error_code = models.TextField(null=True)
    version = models.TextField(null=True)
    stage = models.TextField()
    duration_ms = models.FloatField()
    request_id = models.TextField()
    user_id = models.UUIDField(null=True)
    conversation_id = models.UUIDField(null=True)
    help_request_id = models.UUIDField(null=True)
    connection_error = models.BooleanField(default=False)

    class Meta:
        db_table = "application_logs"
        default_permissions = ()
        ordering: ClassVar = ["-timestamp", "-id"]
        verbose_name = "event"
        indexes: ClassVar = [
            models.Index(fields=["timestamp"], name="application_logs_time"),
            models.Index(fields=["version", "timestamp"], name="application_logs_version_time"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(event__in=["success", "error"]), name="application_logs_known_event"
            ),
            models.CheckConstraint(
                condition=models.Q(log_level__in=["info", "warn", "error"]), name="application_logs_known_level"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.event}"
