import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp
from carecollective.help_requests.models import HelpRequest
from carecollective.safety.models import Restriction
from rollout.versions import MessagingVersion

WORDS_MAX = 1000


class ReportReason(models.TextChoices):
    """Why a message is reported; the values are the legacy system's."""

    HARASSMENT = "harassment", _("It threatens or harasses me")
    SCAM = "scam", _("It asks for money or tries to cheat")
    INAPPROPRIATE = "inappropriate", _("It does not belong here")
    SPAM = "spam", _("It is advertising")
    OTHER = "other", _("Something else")


class ReportAbout(models.TextChoices):
    """What a report is about: one message, or a person, whatever shows them."""

    MESSAGE = "message", _("a message")
    MEMBER = "member", _("a person")


class ReportOutcome(models.TextChoices):
    PENDING = "pending", _("Waiting for staff")
    REVIEWED = "reviewed", _("Looked at, nothing to do")
    DISMISSED = "dismissed", _("Dismissed")
    ACTION_TAKEN = "action_taken", _("Dealt with")


class Report(models.Model):
    """A report of one message of either version, or of a person; the legacy system's reports stay in its own table.

    Of a message, `message_id` is None for the first of a V2 conversation, which is part of the conversation itself. Of a
    person, the conversation or the help request is where the reporter met them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    about = models.TextField(choices=ReportAbout.choices, default=ReportAbout.MESSAGE, db_default=ReportAbout.MESSAGE)
    version = models.TextField(choices=[(version.value, version.value) for version in MessagingVersion], null=True)
    conversation_id = models.UUIDField(null=True)
    message_id = models.UUIDField(null=True)
    help_request = models.ForeignKey(HelpRequest, models.PROTECT, null=True, related_name="+", db_index=False)
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
                fields=["reporter", "about", "author", "conversation_id", "message_id", "help_request"],
                nulls_distinct=False,
                name="moderation_report_once_of_each",
            ),
            models.CheckConstraint(condition=~Q(reporter=models.F("author")), name="moderation_report_of_another"),
            models.CheckConstraint(
                condition=Q(version="v2") | Q(message_id__isnull=False) | Q(about="member"),
                name="moderation_report_of_a_message_or_member",
            ),
            models.CheckConstraint(
                condition=Q(about="member") | Q(conversation_id__isnull=False, version__isnull=False),
                name="moderation_report_knows_its_conversation",
            ),
        ]

    def __str__(self) -> str:
        return f"Report {self.pk}"


class ActKind(models.TextChoices):
    """What staff do about a member."""

    HIDE = "hide", _("Hide the message")
    WARN = "warn", _("Warn the member")
    RESTRICT = "restrict", _("Restrict the member")
    DEACTIVATE = "deactivate", _("Deactivate the account")


class Act(models.Model):
    """What staff did about a member after a report, and why. Undone, it stays on record.

    `reason` is for staff alone; `words` are for the member, who reads them on their account page.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.TextField(choices=ActKind.choices)
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    # Of either system, so no foreign key.
    report_id = models.UUIDField()
    conversation_id = models.UUIDField(null=True)
    message_id = models.UUIDField(null=True)
    restriction = models.ForeignKey(Restriction, models.PROTECT, null=True, related_name="+", db_index=False)
    reason = models.TextField()
    words = models.TextField(default="", blank=True)
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    undone_at = models.DateTimeField(null=True)
    undone_reason = models.TextField(default="", blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=ActKind.values), name="moderation_act_known_kind"),
            models.CheckConstraint(
                condition=Q(restriction__isnull=False, kind="restrict") | (Q(restriction=None) & ~Q(kind="restrict")),
                name="moderation_act_of_a_restriction",
            ),
            models.CheckConstraint(condition=~Q(member=models.F("staff")), name="moderation_act_on_another"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.member_id}"


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
