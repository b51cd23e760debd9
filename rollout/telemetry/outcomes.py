"""What one start or send leaves behind, and how its end is judged: success, refused or failed."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID, uuid4

from django.db import InterfaceError, OperationalError
from psycopg import Error as PostgresError

from carecollective.core.errors import DomainError, as_domain_error
from rollout.versions import MessagingVersion

# The member's own doing, or a rule at work. All other errors are failures of the system.
EXPECTED_REFUSALS = frozenset(
    {
        "conversation_exists",
        "conversation_inactive",
        "conversation_not_found",
        "help_request_not_found",
        "help_request_unavailable",
        "idempotency_conflict",
        "invalid_input",
        "message_not_found",
        "messaging_unavailable",
        "method_not_allowed",
        "not_found",
        "permission_denied",
        "rate_limit_exceeded",
        "unauthorized",
        "validation_error",
    }
)
FAILURE_CODES = ("database_error", "internal_server_error")
# The server stops, starts or is full. Class 08, or no code at all, is a connection lost or never made.
_SERVER_AWAY = frozenset({"57P01", "57P02", "57P03", "57P05", "53300"})


class Method(StrEnum):
    """The operations that are measured, under the names that the playbook's dashboards know."""

    START = "startHelpConversation"
    SEND = "sendMessage"
    # Any other request that could not reach the database. Only such failures are kept: rates leave it out.
    REQUEST = "request"


class Outcome(StrEnum):
    SUCCESS = "success"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def log_level(self) -> str:
        """The level that the table keeps it under."""
        return _LEVELS[self]


_LEVELS = {Outcome.SUCCESS: "info", Outcome.REFUSED: "warn", Outcome.FAILED: "error"}
OUTCOME_OF_LEVEL = {level: outcome for outcome, level in _LEVELS.items()}


@dataclass(slots=True)
class Event:
    """One start or send: services fill in what they learn, and its end fills in the rest.

    It holds ids and numbers, and never a text that a member wrote. `version` is None when the operation ended before its
    version was known. `stage` is None when this process does not follow the rollout; the row then takes the current stage.
    `ended_at` is this process's monotonic clock: the row's timestamp is the database's clock minus the event's age.
    """

    method: Method
    user_id: UUID | None = None
    version: MessagingVersion | None = None
    help_request_id: UUID | None = None
    conversation_id: UUID | None = None
    outcome: Outcome = Outcome.SUCCESS
    error_code: str | None = None
    stage: str | None = None
    duration_ms: float = 0.0
    request_id: str = ""
    connection_error: bool = False
    ended_at: float = 0.0
    key: UUID = field(default_factory=uuid4)

    @property
    def service(self) -> str:
        return f"MessagingService{self.version.upper() if self.version else ''}"

    @property
    def event(self) -> str:
        return "success" if self.outcome is Outcome.SUCCESS else "error"


def judge(error: BaseException | None) -> tuple[Outcome, str | None]:
    """Return the outcome of an operation that raised `error`, and the error's code."""
    if error is None:
        return Outcome.SUCCESS, None
    refusal = as_domain_error(error)
    code = refusal.code if refusal else DomainError.code
    return (Outcome.REFUSED if code in EXPECTED_REFUSALS else Outcome.FAILED), code


def is_connection_error(error: BaseException | None) -> bool:
    """Tell whether the database could not be reached; a refusal or a timeout of its own is no connection error."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    cause = error.__cause__
    code = cause.sqlstate if isinstance(cause, PostgresError) else None
    return code is None or code.startswith("08") or code in _SERVER_AWAY
