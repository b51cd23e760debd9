"""What is kept of one start or send, and how its end is judged: done, refused with reason, or failed."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db import InterfaceError, OperationalError
from psycopg import Error as PostgresError

from carecollective.core.errors import DomainError, as_domain_error
from rollout.versions import MessagingVersion

# Refusals that are the member's own doing, or a rule at work. All other errors are failures of the system.
EXPECTED_REFUSALS = frozenset(
    {
        *("conversation_exists", "conversation_inactive", "conversation_not_found", "help_request_not_found"),
        *(
            "help_request_unavailable",
            "idempotency_conflict",
            "invalid_input",
            "message_not_found",
            "method_not_allowed",
        ),
        *("messaging_unavailable", "not_found", "permission_denied", "rate_limit_exceeded", "unauthorized"),
        "validation_error",
    }
)
FAILURE_CODES = ("database_error", "internal_server_error")
# The server going away, starting, or full. Class 08 and an error without any code are connections lost or never made.
_SERVER_AWAY = frozenset({"57P01", "57P02", "57P03", "57P05", "53300"})


class Method(StrEnum):
    """The operations that are measured, under the names that the playbook's dashboards know."""

    START = "startHelpConversation"
    SEND = "sendMessage"
    # Any other request that could not reach the database. Only such failures are kept, so it is no operation to take shares of.
    REQUEST = "request"


class Outcome(StrEnum):
    SUCCESS = "success"
    REFUSED = "refused"
    FAILED = "failed"


_LEVELS = {Outcome.SUCCESS: "info", Outcome.REFUSED: "warn", Outcome.FAILED: "error"}


@dataclass(frozen=True, slots=True)
class Event:
    """One start or send as it ended. Identities and figures only: nothing that a member wrote, ever.

    `version` is None where the operation ended before its version was known. `ended_at` is this process's monotonic
    clock; the table's timestamp is the database's clock, set back by the event's age. `stage` is None where this process
    does not follow the rollout; the table then takes the stage of the moment.
    """

    key: UUID
    method: Method
    outcome: Outcome
    error_code: str | None
    version: MessagingVersion | None
    stage: str | None
    duration_ms: float
    request_id: str
    user_id: UUID | None
    conversation_id: UUID | None
    help_request_id: UUID | None
    connection_error: bool
    ended_at: float

    @property
    def service(self) -> str:
        return f"MessagingService{self.version.upper() if self.version else ''}"

    @property
    def event(self) -> str:
        return "success" if self.outcome is Outcome.SUCCESS else "error"

    @property
    def log_level(self) -> str:
        return _LEVELS[self.outcome]


def judge(error: BaseException | None) -> tuple[Outcome, str | None]:
    """Return how an operation ended that raised `error`, and the error's code."""
    if error is None:
        return Outcome.SUCCESS, None
    refusal = as_domain_error(error)
    code = refusal.code if refusal else DomainError.code
    return (Outcome.REFUSED if code in EXPECTED_REFUSALS else Outcome.FAILED), code


def is_connection_error(error: BaseException | None) -> bool:
    """Tell whether the database could not be reached, as against an answer of its own that came too late or was no."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    cause = error.__cause__
    code = cause.sqlstate if isinstance(cause, PostgresError) else None
    return code is None or code.startswith("08") or code in _SERVER_AWAY
