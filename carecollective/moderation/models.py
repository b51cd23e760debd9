import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp
from rollout.versions import MessagingVersion

WORDS_MAX = 1000


class ReportReason(models.TextChoices):
    """Why a message is reported; the values are the legacy system's."""

    HARASSMENT = "harassment", _("It threatens or harasses me")
    SCAM = "scam", _("It asks for money or tries to cheat")
    INAPPROPRIATE = "inappropriate", _("It does not belong here")
    SPAM = "spam", _("It is advertising")
    OTHER = "other", _("Something else")


class ReportOutcome(models.TextChoices):
    PENDING = "pending", _("Waiting for staff")
    REVIEWED = "reviewed", _("Looked at, nothing to do")
    DISMISSED = "dismissed", _("Dismissed")
    ACTION_TAKEN = "action_taken", _("Dealt with")


class Report(models.Model):
    """A participant's report of one message of either version; the legacy system's reports stay in its own table.

    `message_id` is None for the first message of a V2 conversation, which is part of the conversation itself.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.TextField(choices=[(version.value, version.value) for version in MessagingVersion])
    conversation_id = models.UUIDField()
    message_id = models.UUIDField(null=True)
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    reason = models.TextField(_("reason"), choices=ReportReason.choices)
    words = models.TextField(_("what they say"), default="", blank=True)
    status = models.TextField(_("outcome"), choices=ReportOutcome.choices, default=ReportOutcome.PENDING)
    created_at = models.DateTimeField(_("reported"), db_default=ClockTimestamp(), editable=False)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("report")
        default_permissions = ("view", "change")
        indexes = [
            models.Index(fields=["status", "-created_at"], name="moderation_report_waiting"),
            models.Index(fields=["reporter"], name="moderation_report_reporter"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["reporter", "conversation_id", "message_id"],
                nulls_distinct=False,
                name="moderation_report_once",
            ),
            models.CheckConstraint(condition=~Q(reporter=models.F("author")), name="moderation_report_of_another"),
            models.CheckConstraint(
                condition=Q(version="v2") | Q(message_id__isnull=False), name="moderation_report_of_a_message"
            ),
        ]

    def __str__(self) -> str:
        return f"Report {self.pk}"


class ReportAccess(models.Model):
    """One access of staff to a reported message. The database shows the message to nobody without one."""

    report_id = models.UUIDField()
    is_legacy = models.BooleanField()
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        db_table = "moderation_look"
        default_permissions = ("view",)
        indexes = [models.Index(fields=["report_id", "at"], name="moderation_look_report")]

    def __str__(self) -> str:
        return f"Access to report {self.report_id}"
