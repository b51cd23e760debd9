"""Why something cannot be done with a conversation. V1, V2 and the inbox share these."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import DomainError, NotPermitted


class ConversationNotFound(DomainError):
    code = "conversation_not_found"
    message = _("We could not find this conversation.")


class MessageNotFound(DomainError):
    code = "message_not_found"
    message = _("We could not find this message.")


class ConversationExists(DomainError):
    """The conversation that the pair already has about the request; `version` is "v1" or "v2"."""

    code = "conversation_exists"
    message = _("You are already talking about this request.")

    def __init__(self, *, conversation_id: UUID, version: str) -> None:
        self.conversation_id = conversation_id
        self.version = version
        super().__init__(conversation_id=conversation_id, version=version)


class ConversationInactive(DomainError):
    code = "conversation_inactive"
    message = _("This conversation is closed, so it takes no new messages.")


class ClosedByAnother(NotPermitted):
    message = _("Only the one who closed this conversation can open it again.")


class IdempotencyConflict(DomainError):
    code = "idempotency_conflict"
    message = _("This message id has already been used for another message.")


class MessagingUnavailable(DomainError):
    code = "messaging_unavailable"
    message = _("Messaging is paused for a moment. Nothing was sent; please try again later.")

    def __init__(self, message: Any = None, *, retry_after: int = 300, **extra: Any) -> None:
        super().__init__(message, retry_after=retry_after, **extra)
