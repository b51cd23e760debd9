import uuid

from django.conf import settings
from django.db import models

from carecollective.core.database import ClockTimestamp
from rollout.versions import MessagingVersion


class ReadPointer(models.Model):
    """How a conversation of either version stands in one member's inbox. Our own table: reading updates no legacy row."""

    pk = models.CompositePrimaryKey("member_id", "conversation_id")
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    conversation_id = models.UUIDField()
    # Up to when the member has read it; None when they have never opened it here.
    read_to = models.DateTimeField(null=True)
    # Until the next visit it counts as unread, whatever is new in it.
    is_marked_unread = models.BooleanField(default=False, db_default=False)
    # Archived as long as it has no activity after this moment: with the next message it is back.
    archived_to = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.member_id} in {self.conversation_id}"


class ContinuationRequest(models.Model):
    """A requester's wish to go on with a frozen legacy conversation in the new messaging."""

    legacy_conversation_id = models.UUIDField(primary_key=True)
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    asked_at = models.DateTimeField(db_default=ClockTimestamp())

    def __str__(self) -> str:
        return f"About {self.legacy_conversation_id}"


class ConversationMail(models.Model):
    """The last mail to a member about a conversation: when, and the newest message that it told of.

    While the member has not read up to there, no other mail about the conversation goes.
    """

    pk = models.CompositePrimaryKey("member_id", "conversation_id")
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    conversation_id = models.UUIDField()
    mailed_at = models.DateTimeField()
    told_to = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.member_id} about {self.conversation_id}"


class RefusedReply(models.Model):
    """A reply by mail that could not be posted, until the mail that says so has gone out. Its row goes with that mail's."""

    # The database's own foreign key deletes the row: see migration 0008.
    mail = models.OneToOneField(
        "mail.OutgoingMail", models.DO_NOTHING, primary_key=True, related_name="+", db_constraint=False
    )
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    conversation_id = models.UUIDField()
    content = models.TextField()
    # Our own sentence.
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    def __str__(self) -> str:
        return f"Of {self.member_id} in {self.conversation_id}"


class NotificationKind(models.TextChoices):
    NEW_CONVERSATION = "new_conversation"
    NEW_MESSAGE = "new_message"
    ASKED_TO_CONTINUE = "asked_to_continue"


class Notification(models.Model):
    """Something a member should hear of by e-mail; it names the conversation and never holds what was said."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    conversation_id = models.UUIDField()
    version = models.TextField(choices=[(version.value, version.value) for version in MessagingVersion])
    kind = models.TextField(choices=NotificationKind.choices)
    created_at = models.DateTimeField(db_default=ClockTimestamp())
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["recipient", "created_at"],
                name="inbox_notification_waiting",
                condition=models.Q(settled_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.recipient_id}"


class Thanks(models.Model):
    """The owner of a request says that this member helped."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    help_request = models.ForeignKey("help_requests.HelpRequest", models.CASCADE, related_name="+", db_index=False)
    helper = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["help_request", "helper"], name="inbox_thanks_once")]

    def __str__(self) -> str:
        return f"{self.helper_id} helped with {self.help_request_id}"
