"""The audit log's table: every change of the rollout."""

from django.db import models

from carecollective.core.database import ClockTimestamp


class Source(models.TextChoices):
    """Where a change of the rollout came from."""

    ADMIN = "admin", "Control room"
    COMMAND = "command", "Command line"
    GUARD = "guard", "Guard"
    ENVIRONMENT = "environment", "Environment"
    OUTSIDE = "outside", "Outside the application"


class Change(models.Model):
    """One change of the rollout's row: who, when, from, to and why.

    Only the trigger on `rollout_flag` writes rows, and nobody can change or delete them. `actor_id` is no foreign key:
    the row outlives the account.
    """

    at = models.DateTimeField(db_default=ClockTimestamp())
    actor_id = models.UUIDField(null=True)
    actor_label = models.TextField()
    source = models.TextField(choices=Source.choices)
    from_stage = models.TextField(null=True)
    to_stage = models.TextField(null=True)
    from_v1_writes = models.BooleanField(null=True)
    to_v1_writes = models.BooleanField(null=True)
    reason = models.TextField()
    override = models.BooleanField(default=False)
    database_role = models.TextField()
    flag_version = models.BigIntegerField()
    hash = models.TextField(editable=False)  # of this row and all earlier ones; see rollout.promotion.audit_log

    class Meta:
        default_permissions = ()
        ordering = ["-id"]
        verbose_name = "change"

    def __str__(self) -> str:
        return f"{self.from_stage or 'nothing'} to {self.to_stage or 'nothing'}"

    @property
    def is_recorded(self) -> bool:
        """Tell whether the audit log has it; a rollback is in force before that."""
        return self.pk is not None
