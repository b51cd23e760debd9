import uuid
from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp
from carecollective.help_requests.search import grams_of_request


class Category(models.TextChoices):
    HEALTH_CAREGIVING = "health-caregiving", _("Health and caregiving")
    GROCERIES_MEALS = "groceries-meals", _("Groceries and meals")
    TRANSPORTATION_ERRANDS = "transportation-errands", _("Rides and errands")
    HOUSEHOLD_YARD = "household-yard", _("House and yard")
    TECHNOLOGY_ADMINISTRATIVE = "technology-administrative", _("Technology and paperwork")
    SOCIAL_COMPANIONSHIP = "social-companionship", _("Company")
    OTHER = "other", _("Something else")


class Urgency(models.TextChoices):
    NORMAL = "normal", _("Any time")
    URGENT = "urgent", _("Soon")
    CRITICAL = "critical", _("Very urgent")


class RequestStatus(models.TextChoices):
    OPEN = "open", _("Open")
    IN_PROGRESS = "in_progress", _("In progress")
    COMPLETED = "completed", _("Completed")
    CANCELLED = "cancelled", _("Cancelled")
    CLOSED = "closed", _("Closed")


AVAILABLE = (RequestStatus.OPEN, RequestStatus.IN_PROGRESS)
ENDS_SOON = timedelta(days=7)
# The filter for a category, urgency or status of the legacy system that is empty or unknown to us.
OTHER = "other"


def is_other(field: str, choices: type[models.TextChoices]) -> models.Q:
    """Return the condition for what is "other": nothing, that word itself, or a word that is none of the choices."""
    named = [known for known in choices.values if known != OTHER]
    return models.Q(**{field: None}) | ~models.Q(**{f"{field}__in": named})


def _index_of_others(field: str, choices: type[models.TextChoices]) -> models.Index:
    return models.Index(
        fields=["-created_at", "-id"], name=f"help_requests_other_{field}", condition=is_other(field, choices)
    )


class HelpRequest(models.Model):
    """A help request, in the legacy system's table. A trigger of the table sets `expires_at`.

    Category, urgency and status of a legacy request may be empty or unknown to us. They are shown as they are.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="help_requests", db_index=False)
    title = models.TextField(_("title"))
    description = models.TextField(_("description"), null=True, blank=True)
    category = models.TextField(_("category"), choices=Category.choices, default=Category.OTHER)
    urgency = models.TextField(_("how soon"), choices=Urgency.choices, default=Urgency.NORMAL)
    status = models.TextField(_("status"), choices=RequestStatus.choices, default=RequestStatus.OPEN)
    completed_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    is_ongoing = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(_("posted"), db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        db_table = "help_requests"
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="help_requests_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="help_requests_by_status"),
            models.Index(fields=["category", "-created_at", "-id"], name="help_requests_by_category"),
            models.Index(fields=["urgency", "-created_at", "-id"], name="help_requests_by_urgency"),
            _index_of_others("status", RequestStatus),
            _index_of_others("category", Category),
            _index_of_others("urgency", Urgency),
            # Requests are written seldom: a list of what is not in the index yet would slow down every search.
            GinIndex(grams_of_request(), name="help_requests_search", fastupdate=False),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_available(self) -> bool:
        """Whether help can still be offered."""
        return self.status in AVAILABLE

    @property
    def takes_offers(self) -> bool:
        """Whether members may offer help: available, and its owner still a member. It reads the owner."""
        return self.is_available and self.user.is_active

    @property
    def ends_soon(self) -> bool:
        """Whether it leaves the list within a week, unless its owner keeps it open."""
        if self.status != RequestStatus.OPEN or self.is_ongoing or self.expires_at is None:
            return False
        return self.expires_at - timezone.now() < ENDS_SOON


class StatusChange(models.Model):
    """A change of a request's status, as the request's conversations tell of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    help_request = models.ForeignKey(HelpRequest, models.CASCADE, related_name="+", db_index=False)
    status = models.TextField(choices=RequestStatus.choices)
    at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    # When mail about it was queued for those whom it concerns.
    mailed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["help_request", "at"], name="help_requests_status_changes"),
            models.Index(fields=["at"], name="help_requests_status_to_mail", condition=models.Q(mailed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.help_request_id}: {self.status}"
