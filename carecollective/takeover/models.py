from django.db import models

from carecollective.core.database import ClockTimestamp


class Takeover(models.Model):
    """That the legacy database was taken over, and when. One row at most: the first time is the one that counts.

    `what_runs` keeps the legacy system's functions, triggers and policies as they were then, or as staff accepted them since.
    """

    adopted_at = models.DateTimeField(db_default=ClockTimestamp())
    what_runs = models.JSONField(null=True)

    def __str__(self) -> str:
        return f"Taken over at {self.adopted_at}"
