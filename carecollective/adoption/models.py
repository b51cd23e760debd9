from django.db import models

from carecollective.core.database import ClockTimestamp


class Takeover(models.Model):
    """That the legacy database was taken over, and when. One row at most: the first time is the one that counts."""

    adopted_at = models.DateTimeField(db_default=ClockTimestamp())

    def __str__(self) -> str:
        return f"Taken over at {self.adopted_at}"
