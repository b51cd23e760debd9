from django.db import models

from carecollective.core.database import ClockTimestamp


class RestoreTrial(models.Model):
    """One restore drill, and how it ended. The owner of the tables writes it."""

    dump = models.TextField()
    tried_at = models.DateTimeField(db_default=ClockTimestamp())
    seconds = models.FloatField()
    # Why it failed; empty if the copy was identical.
    failure = models.TextField(default="")

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["-tried_at"], name="operations_trial_newest")]

    def __str__(self) -> str:
        return f"{self.dump}: {self.failure or 'restored'}"
