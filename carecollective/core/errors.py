"""Refusals as types, and their one translation into an answer."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from psycopg import errors as postgres_errors


class DomainError(Exception):
    """A refusal worded for a person, with a code for programs. Raised by services, never by views."""

    code: ClassVar[str] = "internal_server_error"
    status: ClassVar[int] = 500
    message: Any = _("Something went wrong on our side.")

    def __init__(self, message: Any = None, *, retry_after: int | None = None, **extra: Any) -> None:
        self.message = message or type(self).message
        self.retry_after = retry_after
        self.extra = extra
        self.headers: dict[str, str] = {}
        super().__init__(self.code)


class ValidationRefused(DomainError):
    """What was typed cannot be taken; `fields` maps each field to its sentences."""

    code = "validation_error"
    status = 400

    def __init__(self, fields: dict[str, list[Any]]) -> None:
        self.fields = fields
        super().__init__(next(iter(fields.values()))[0], fields=fields)


class InvalidInput(DomainError):
    code = "invalid_input"
    status = 400
    message = _("That address is not complete or not correct.")


class OwnRequest(InvalidInput):
    message = _("You cannot offer help on your own request")


class HelpRequestUnavailable(DomainError):
    code = "help_request_unavailable"
    status = 400
    message = _("This request is no longer open. Thank you for offering.")


class Unauthorized(DomainError):
    code = "unauthorized"
    status = 401
    message = _("Please sign in first.")


class NotPermitted(DomainError):
    code = "permission_denied"
    status = 403
    message = _("You are not allowed to do that.")


class NotApproved(NotPermitted):
    message = _(
        "Your membership is waiting for approval. You can read requests; offering and asking open once approved."
    )


class ActingAsAnother(NotPermitted):
    message = _("You can only do this in your own name.")


class HelpRequestNotFound(DomainError):
    code = "help_request_not_found"
    status = 404
    message = _("We could not find this help request.")


class ConversationNotFound(DomainError):
    code = "conversation_not_found"
    status = 404
    message = _("We could not find this conversation.")


class MessageNotFound(DomainError):
    code = "message_not_found"
    status = 404
    message = _("We could not find this message.")


class ConversationExists(DomainError):
    """The conversation that the pair already has about the request; `version` is "v1" or "v2"."""

    code = "conversation_exists"
    status = 409
    message = _("You are already talking about this request.")

    def __init__(self, *, conversation_id: UUID, version: str) -> None:
        self.conversation_id = conversation_id
        self.version = version
        super().__init__(conversation_id=conversation_id, version=version)


class ConversationInactive(DomainError):
    code = "conversation_inactive"
    status = 409
    message = _("This conversation is closed, so it takes no new messages.")


class IdempotencyConflict(DomainError):
    code = "idempotency_conflict"
    status = 409
    message = _("This message id has already been used for another message.")


class RateLimitExceeded(DomainError):
    code = "rate_limit_exceeded"
    status = 429
    message = _("That was a lot in a short time. Please wait a little and try again.")


class MessagingUnavailable(DomainError):
    code = "messaging_unavailable"
    status = 503
    message = _("Messaging is paused for a moment. Nothing was sent; please try again later.")

    def __init__(self, message: Any = None, *, retry_after: int = 300, **extra: Any) -> None:
        super().__init__(message, retry_after=retry_after, **extra)


class DatabaseAway(DomainError):
    code = "database_error"
    status = 503
    message = _("We cannot reach our records right now. Nothing was saved; please try again in a moment.")


class TableMissing(DatabaseAway):
    message = _("A part of our records is missing right now. Nothing was saved; please try again a little later.")


# A lock or statement that took too long, a server starting, stopping or full: worth another try, unlike a programming error.
_PASSING = (
    postgres_errors.LockNotAvailable,
    postgres_errors.QueryCanceled,
    postgres_errors.DeadlockDetected,
    postgres_errors.SerializationFailure,
    postgres_errors.DiskFull,
    postgres_errors.OutOfMemory,
    postgres_errors.ReadOnlySqlTransaction,
)
# Dropped beneath a site that serves. Our own statements were all tried on tables that are there.
_GONE = (postgres_errors.UndefinedTable, postgres_errors.UndefinedColumn)


_watchers: list[Callable[[BaseException], None]] = []


def watch_database(watcher: Callable[[BaseException], None]) -> None:
    """Have `watcher` told of each error that means that the database is away; it must not raise."""
    _watchers.append(watcher)


def is_database_away(exception: BaseException) -> bool:
    """Tell whether the database could not be reached or asked just now."""
    return isinstance(exception, (OperationalError, InterfaceError)) or isinstance(exception.__cause__, _PASSING)


def as_domain_error(exception: BaseException) -> DomainError | None:
    """Return the refusal that `exception` amounts to, or None when it is a fault of ours."""
    if isinstance(exception, DomainError):
        return exception
    if isinstance(exception, Http404):
        return DomainNotFound()
    if isinstance(exception, PermissionDenied):
        return NotPermitted()
    if is_database_away(exception):
        for watcher in _watchers:
            watcher(exception)
        return DatabaseAway(retry_after=5)
    if isinstance(exception.__cause__, _GONE):
        return TableMissing(retry_after=60)
    return None


class DomainNotFound(DomainError):
    code = "not_found"
    status = 404
    message = _("There is nothing at this address.")


class MethodNotAllowed(DomainError):
    code = "method_not_allowed"
    status = 405
    message = _("This address does not take that kind of request.")


class MalformedRequest(InvalidInput):
    message = _("We could not understand this request. Please go back and try again.")


class RequestTimeout(DomainError):
    code = "request_timeout"
    status = 408
    message = _("This took too long to reach us. Please check your connection and try again.")


class BodyTooLarge(DomainError):
    code = "request_too_large"
    status = 413
    message = _("This is too much to send at once. Please make it shorter and try again.")


class AddressTooLong(BodyTooLarge):
    status = 414
    message = _("This address is too long. Please make what you search for shorter.")


class HeadersTooLarge(BodyTooLarge):
    status = 431
    message = _("Your browser sent too much along with this request. Please delete this site’s cookies and try again.")


class ExpectationFailed(MalformedRequest):
    status = 417


class UnknownTransferCoding(MalformedRequest):
    status = 501


def envelope(error: DomainError) -> dict[str, Any]:
    """Return the one shape that an error has in JSON."""
    content = {"code": error.code, "message": str(error.message)}
    return {"success": False, "error": content | {name: _plain(value) for name, value in error.extra.items()}}


def answer_headers(error: DomainError) -> dict[str, str]:
    """Return the headers that an answer with this refusal carries."""
    return ({"Retry-After": str(error.retry_after)} if error.retry_after else {}) | error.headers


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (int, float, bool, type(None))) else str(value)
