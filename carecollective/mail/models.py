import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp


class MailState(models.TextChoices):
    WAITING = "waiting", _("will be tried again")
    SENT = "sent", _("sent")
    SKIPPED = "skipped", _("no longer needed")
    DEAD = "dead", _("given up")


class OutgoingMail(models.Model):
    """A mail to one member and its state. Its text is written when it is sent, and never stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("to"))
    kind = models.TextField()
    # Another address than the member's own, while they change it.
    address = models.TextField(default="", db_default="")
    # What the text is made of beside the member, such as the reference of a code: never the code.
    reference = models.TextField(default="", db_default="")
    created_at = models.DateTimeField(_("asked for"), db_default=ClockTimestamp())
    state = models.TextField(choices=MailState.choices, default=MailState.WAITING)
    attempts = models.PositiveIntegerField(_("tries"), default=0)
    first_tried_at = models.DateTimeField(_("first try"), null=True)
    last_tried_at = models.DateTimeField(_("last try"), null=True)
    next_try_at = models.DateTimeField(_("next try"), db_default=ClockTimestamp())
    settled_at = models.DateTimeField(null=True)
    # Our own sentence: the server's answer may quote the address.
    error = models.TextField(_("why"), default="")

    class Meta:
        default_permissions = ()
        verbose_name = _("mail that has not arrived")
        verbose_name_plural = _("mail that has not arrived")
        constraints = [
            models.UniqueConstraint(
                fields=["recipient", "kind", "reference"],
                name="outgoing_mail_waits_once",
                condition=models.Q(state="waiting"),
            )
        ]
        indexes = [
            models.Index(fields=["next_try_at", "id"], name="outgoing_mail_due", condition=models.Q(state="waiting")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.recipient_id}"
