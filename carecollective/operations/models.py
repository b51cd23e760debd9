from django.db import models

from carecollective.core.database import ClockTimestamp


class RestoreTrial(models.Model):
    """That a backup was restored to try it, and how that ended. The owner of the tables writes it."""

    dump = models.TextField()
    tried_at = models.DateTimeField(db_default=ClockTimestamp())
    seconds = models.FloatField()
    # Why it failed; empty where the copy was the same to the last character.
    failure = models.TextField(default="")

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["-tried_at"], name="operations_trial_newest")]

    def __str__(self) -> str:
        return f"{self.dump}: {self.failure or 'restored'}"
