"""The new messaging: a conversation and its first message are one row, so that neither exists without the other."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length, Trim
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from carecollective.core.database import ClockTimestamp, Member
from carecollective.core.text import INITIAL_MESSAGE_MIN, MESSAGE_MAX
from carecollective.help_requests.models import HelpRequest


class ConversationStatus(models.TextChoices):
    ACTIVE = "active"
    CLOSED = "closed"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, member: Member) -> "ConversationQuerySet":
        """The conversations that the member takes part in; the policies say the same."""
        return self.filter(Q(requester=member.pk) | Q(helper=member.pk))


class Conversation(models.Model):
    """What a helper and a requester say about one request. One for each pair, opened by the helper's first message."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    help_request = models.ForeignKey(HelpRequest, models.PROTECT, related_name="+", db_index=False)
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    helper = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    initial_message = models.TextField()
    status = models.TextField(
        choices=ConversationStatus.choices, default=ConversationStatus.ACTIVE, db_default=ConversationStatus.ACTIVE
    )
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        db_table = "conversations_v2"
        indexes = [
            # In the order of the inbox.
            models.Index(fields=["requester", "-updated_at", "-id"], name="conversations_v2_of_requester"),
            models.Index(fields=["helper", "-updated_at", "-id"], name="conversations_v2_of_helper"),
            models.Index(fields=["created_at"], name="conversations_v2_created_at"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["help_request", "helper"], name="conversations_v2_one_per_pair"),
            models.CheckConstraint(condition=~Q(requester=F("helper")), name="conversations_v2_two_people"),
            models.CheckConstraint(
                condition=Q(status__in=ConversationStatus.values), name="conversations_v2_known_status"
            ),
            models.CheckConstraint(
                condition=Q(GreaterThanOrEqual(Length(Trim("initial_message")), INITIAL_MESSAGE_MIN))
                & Q(LessThanOrEqual(Length("initial_message"), MESSAGE_MAX)),
                name="conversations_v2_initial_message_length",
            ),
        ]

    def __str__(self) -> str:
        return f"Conversation {self.pk}"


class Message(models.Model):
    """One message after the first. Only an erasure changes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="messages", db_index=False)
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    content = models.TextField()
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    updated_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        db_table = "messages_v2"
        indexes = [
            models.Index(fields=["conversation", "created_at", "id"], name="messages_v2_thread"),
            models.Index(fields=["sender"], name="messages_v2_sender"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(GreaterThanOrEqual(Length(Trim("content")), 1))
                & Q(LessThanOrEqual(Length("content"), MESSAGE_MAX)),
                name="messages_v2_content_length",
            ),
        ]

    def __str__(self) -> str:
        return f"Message {self.pk}"
