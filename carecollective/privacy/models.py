import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp


class ExportState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    WORKING = "working", _("Being put together")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")


UNDER_WAY = (ExportState.WAITING, ExportState.WORKING)


class Export(models.Model):
    """A member's request for a copy of their data, and the worker's progress."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    state = models.TextField(choices=ExportState.choices, default=ExportState.WAITING)
    requested_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True)
    ready_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["member", "-requested_at"], name="privacy_export_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["member"],
                condition=models.Q(state__in=["waiting", "working"]),
                name="privacy_export_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"Export {self.pk}"

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY


class ExportFile(models.Model):
    """The finished zip. A policy shows it to its member only, not to staff."""

    export = models.OneToOneField(Export, models.CASCADE, primary_key=True, related_name="+")
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    content = models.BinaryField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"File of export {self.export_id}"


class Erasure(models.Model):
    """The record that a member was erased, when, and by whom. It does not say who they were."""

    member = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="+")
    erased_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    erased_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    swept_at = models.DateTimeField(null=True)
    # If the member had acted on the rollout: the audit log's newest hash before and after their name was removed.
    record_head_before = models.TextField(default="")
    record_head_after = models.TextField(default="")

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"Erasure of {self.member_id}"
