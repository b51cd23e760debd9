"""Refusals that no single app words, and the translation of other exceptions into one.

Each app words its own refusals beside its services. `carecollective/web/api.py` holds the HTTP status of each code.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from psycopg import errors as postgres_errors


class DomainError(Exception):
    """A refusal with a message for a person and a code for programs. Services raise it, never views."""

    code: ClassVar[str] = "internal_server_error"
    message: Any = _("Something went wrong on our side.")

    def __init__(self, message: Any = None, *, retry_after: int | None = None, **extra: Any) -> None:
        self.message = message or type(self).message
        self.retry_after = retry_after
        self.extra = extra
        self.headers: dict[str, str] = {}
        super().__init__(self.code)


class ValidationRefused(DomainError):
    """The input is not valid. `fields` maps each field to its messages."""

    code = "validation_error"

    def __init__(self, fields: dict[str, list[Any]]) -> None:
        self.fields = fields
        super().__init__(next(iter(fields.values()))[0], fields=fields)


class InvalidInput(DomainError):
    code = "invalid_input"
    message = _("That address is not complete or not correct.")


class Unauthorized(DomainError):
    code = "unauthorized"
    message = _("Please sign in first.")


class NotPermitted(DomainError):
    code = "permission_denied"
    message: Any = _("You are not allowed to do that.")


class ActingAsAnother(NotPermitted):
    message = _("You can only do this in your own name.")


class RateLimitExceeded(DomainError):
    code = "rate_limit_exceeded"
    message = _("That was a lot in a short time. Please wait a little and try again.")


class DatabaseAway(DomainError):
    code = "database_error"
    message = _("We cannot reach our records right now. Nothing was saved; please try again in a moment.")


class TableMissing(DatabaseAway):
    message = _("A part of our records is missing right now. Nothing was saved; please try again a little later.")


# Temporary errors: worth another try, unlike a programming error.
_PASSING = (
    postgres_errors.LockNotAvailable,
    postgres_errors.QueryCanceled,
    postgres_errors.DeadlockDetected,
    postgres_errors.SerializationFailure,
    postgres_errors.DiskFull,
    postgres_errors.OutOfMemory,
    postgres_errors.ReadOnlySqlTransaction,
)
# A table or column was dropped while the site serves; tests cover all statements on existing tables.
_GONE = (postgres_errors.UndefinedTable, postgres_errors.UndefinedColumn)


_watchers: list[Callable[[BaseException], None]] = []


def watch_database(watcher: Callable[[BaseException], None]) -> None:
    """Call `watcher` with each error that means that the database is away. It must not raise."""
    _watchers.append(watcher)


def is_database_away(exception: BaseException) -> bool:
    """Tell whether the database could not be reached or asked just now."""
    return isinstance(exception, (OperationalError, InterfaceError)) or isinstance(exception.__cause__, _PASSING)


def as_domain_error(exception: BaseException) -> DomainError | None:
    """Return the refusal for an exception, or None if it is a programming error."""
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
    message = _("There is nothing at this address.")


class MethodNotAllowed(DomainError):
    code = "method_not_allowed"
    message = _("This address does not take that kind of request.")


class MalformedRequest(InvalidInput):
    message = _("We could not understand this request. Please go back and try again.")


class RequestTimeout(DomainError):
    code = "request_timeout"
    message = _("This took too long to reach us. Please check your connection and try again.")


class BodyTooLarge(DomainError):
    code = "request_too_large"
    message = _("This is too much to send at once. Please make it shorter and try again.")


class AddressTooLong(BodyTooLarge):
    message = _("This address is too long. Please make what you search for shorter.")


class HeadersTooLarge(BodyTooLarge):
    message = _("Your browser sent too much along with this request. Please delete this site’s cookies and try again.")


class ExpectationFailed(MalformedRequest):
    """The header `Expect` asks for something else than 100-continue."""


class UnknownTransferCoding(MalformedRequest):
    """The header `Transfer-Encoding` names a coding that the server does not know."""


def envelope(error: DomainError) -> dict[str, Any]:
    """Return the error as JSON, in the only shape that errors have."""
    content = {"code": error.code, "message": str(error.message)}
    return {"success": False, "error": content | {name: _plain(value) for name, value in error.extra.items()}}


def answer_headers(error: DomainError) -> dict[str, str]:
    """Return the headers for an answer with this refusal."""
    return ({"Retry-After": str(error.retry_after)} if error.retry_after else {}) | error.headers


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (int, float, bool, type(None))) else str(value)
