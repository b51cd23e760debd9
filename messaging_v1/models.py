"""The legacy system's tables. They are not ours: no column, constraint, trigger or policy of theirs may change, and no row of
theirs is updated or deleted. What we add are rows of our own, and grants and policies for our own roles.
"""

import uuid
from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext as _

from carecollective.help_requests.models import HelpRequest
from carecollective.safety.models import HIDDEN_PLACEHOLDER


class ConversationStatus(models.TextChoices):
    ACTIVE = "active"
    CLOSED = "closed"
    BLOCKED = "blocked"


class Conversation(models.Model):
    """A legacy conversation. Its trigger keeps `last_message_at`; we insert, and never update it ourselves.

    What the legacy system left empty stays so: a conversation without a status is active, one without dates comes last.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    help_request = models.ForeignKey(HelpRequest, models.DO_NOTHING, null=True, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, db_column="created_by", null=True, related_name="+"
    )
    title = models.TextField(null=True)
    status = models.TextField(choices=ConversationStatus.choices, default=ConversationStatus.ACTIVE, null=True)
    created_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(null=True)
    last_message_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "conversations"

    def __str__(self) -> str:
        return f"Legacy conversation {self.pk}"

    @property
    def active_at(self) -> datetime | None:
        """When something last happened in it, as far as the legacy system kept that."""
        return self.last_message_at or self.updated_at or self.created_at


class Participant(models.Model):
    """Who takes part in a legacy conversation; one who left keeps the row and no longer sees the conversation."""

    pk = models.CompositePrimaryKey("conversation_id", "user_id")
    conversation = models.ForeignKey(Conversation, models.DO_NOTHING, related_name="participants")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.DO_NOTHING, related_name="+")
    joined_at = models.DateTimeField(null=True)
    left_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "conversation_participants"

    def __str__(self) -> str:
        return f"{self.user_id} in {self.conversation_id}"


def content_for_readers(content: str | None, *, is_deleted: bool, moderation_status: str | None) -> str:
    """Return a message's content as its readers may see it: a sentence in its place where it was withheld."""
    if is_deleted:
        return _("This message was deleted.")
    if moderation_status in Message.WITHHELD_BY_MODERATORS:
        return str(HIDDEN_PLACEHOLDER)
    return content or ""


class Message(models.Model):
    """A legacy message. `deleted_at` and `moderation_status` were set by the legacy system and decide what is shown.

    One without a date is older than all that have one.
    """

    WITHHELD_BY_MODERATORS: ClassVar[tuple[str, ...]] = ("hidden", "removed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.DO_NOTHING, related_name="messages")
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, related_name="+")
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, models.DO_NOTHING, related_name="+")
    help_request = models.ForeignKey(HelpRequest, models.DO_NOTHING, null=True, related_name="+")
    content = models.TextField(null=True)
    message_type = models.TextField(default="text", null=True)
    status = models.TextField(default="sent")
    read_at = models.DateTimeField(null=True)
    is_flagged = models.BooleanField(default=False)
    moderation_status = models.TextField(null=True)
    created_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "messages"

    def __str__(self) -> str:
        return f"Legacy message {self.pk}"

    @property
    def is_withheld(self) -> bool:
        """Whether the legacy system deleted or hid it."""
        return self.deleted_at is not None or self.moderation_status in self.WITHHELD_BY_MODERATORS

    @property
    def is_system(self) -> bool:
        """Whether the legacy system wrote it by itself, under a member's id."""
        return self.message_type not in (None, "text")

    @property
    def shown(self) -> str:
        """The content as its readers may see it."""
        return content_for_readers(
            self.content, is_deleted=self.deleted_at is not None, moderation_status=self.moderation_status
        )
