"""What keeps two people apart, or one of them quiet. The same for both messagings; no legacy row changes by it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from carecollective.core.database import ClockTimestamp


class Block(models.Model):
    """A member who wants nothing from another any more. It holds both ways; only the blocker knows and ends it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    blocker = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    blocked = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["blocker", "blocked"], name="safety_block_once"),
            models.CheckConstraint(condition=~Q(blocker=F("blocked")), name="safety_block_of_another"),
        ]

    def __str__(self) -> str:
        return f"Block of {self.blocked_id}"


class Closing(models.Model):
    """Who closed a conversation. Only they can open it again.

    V2 keeps the status in the conversation too, and its trigger writes this row. For V1 this row is all there is.
    """

    conversation_id = models.UUIDField(primary_key=True)
    version = models.TextField(choices=[("v1", "v1"), ("v2", "v2")])
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    closed_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Closing of {self.conversation_id}"


# What its readers see in the place of a message that staff have hidden.
HIDDEN_PLACEHOLDER = _("This message was removed by a moderator.")


class HiddenMessage(models.Model):
    """A message that staff have hidden from its readers. Restoring it deletes this row; the message itself never changes.

    `message_id` is None for the first message of a V2 conversation.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation_id = models.UUIDField()
    message_id = models.UUIDField(null=True)
    hidden_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["conversation_id", "message_id"], nulls_distinct=False, name="safety_hidden_message_once"
            )
        ]

    def __str__(self) -> str:
        return f"Hidden message in {self.conversation_id}"


class RestrictionKind(models.TextChoices):
    NO_OFFERS = "no_offers", _("No offers of help")
    NO_MESSAGES = "no_messages", _("No offers and no messages")
    DAILY_LIMIT = "daily_limit", _("A limit of messages a day")


class Restriction(models.Model):
    """What staff do not let a member do until a date. Lifted early, it stays on record."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    kind = models.TextField(choices=RestrictionKind.choices)
    daily_limit = models.PositiveSmallIntegerField(null=True)
    until = models.DateTimeField()
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    lifted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=RestrictionKind.values), name="safety_restriction_known_kind"),
            models.CheckConstraint(
                condition=Q(kind="daily_limit", daily_limit__gte=1) | (~Q(kind="daily_limit") & Q(daily_limit=None)),
                name="safety_restriction_limit_of_a_number",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.member_id}"
