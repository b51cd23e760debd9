import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from carecollective.core.text import EMAIL_MAX

NAME_MAX = 80
TEXT_MAX = 2000


class ContactMessage(models.Model):
    """What somebody wrote to staff on the contact page; `member` is None for a visitor.

    The database shows it to staff, and to the member who wrote it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    name = models.TextField(_("from"))
    email = models.TextField(_("e-mail"))
    text = models.TextField(_("message"))
    # Not the database's default: reading that back would need the right to read the row.
    created_at = models.DateTimeField(_("written"), default=timezone.now)
    answered_at = models.DateTimeField(_("answered"), null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("answered by")
    )

    class Meta:
        default_permissions = ("view",)
        verbose_name = _("message to staff")
        verbose_name_plural = _("messages to staff")
        indexes = [models.Index(fields=["answered_at", "-created_at"], name="contact_message_waiting")]
        constraints = [
            models.CheckConstraint(
                condition=LessThanOrEqual(Length(field), longest), name=f"contact_message_{field}_length"
            )
            for field, longest in (("name", NAME_MAX), ("email", EMAIL_MAX), ("text", TEXT_MAX))
        ]

    def __str__(self) -> str:
        return f"Message to staff {self.pk}"
