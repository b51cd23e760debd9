"""What an operation has to remember from one command to the next."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from carecollective.core.database import ClockTimestamp


class DroppedMessaging(models.Model):
    """The new messaging's tables were dropped; these statements give new ones what other apps had added to them."""

    dropped_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    statements = ArrayField(models.TextField())

    def __str__(self) -> str:
        return f"Dropped at {self.dropped_at}"
