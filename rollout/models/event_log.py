"""The table of events."""

from django.db import models

from carecollective.core.database import ClockTimestamp


class EventLog(models.Model):
    """One start or send, in either version, as it ended. Rows are only added, and deleted when they are too old.

    The ids are no foreign keys: an event outlives its conversation, and a lock there must not delay it. `key` makes it
    safe to insert again after a lost answer.
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
        ordering = ["-timestamp", "-id"]
        verbose_name = "event"
        indexes = [
            models.Index(fields=["timestamp"], name="application_logs_time"),
            models.Index(fields=["version", "timestamp"], name="application_logs_version_time"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(event__in=["success", "error"]), name="application_logs_known_event"
            ),
            models.CheckConstraint(
                condition=models.Q(log_level__in=["info", "warn", "error"]), name="application_logs_known_level"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.event}"
