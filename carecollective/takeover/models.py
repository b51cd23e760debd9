from django.db import models

from carecollective.core.database import ClockTimestamp


class Takeover(models.Model):
    """When the legacy database was taken over. At most one row: the first time counts.

    `what_runs` holds the legacy system's functions, triggers and policies as of then, or as an operator accepted them later.
    """

    adopted_at = models.DateTimeField(db_default=ClockTimestamp())
    what_runs = models.JSONField(null=True)

    def __str__(self) -> str:
        return f"Taken over at {self.adopted_at}"
