"""Logs as one JSON object a line, with the request's id, without what members wrote or signed in with."""

import json
import logging
import re
import traceback
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import structlog

from carecollective.observability import request_ids

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# Tokens of the API and of Authorization headers.
TOKEN = re.compile(r"\b(?:(?i:token|bearer|basic)\s+[\w.~+/=-]{16,}|[0-9a-f]{64})")
QUERY = re.compile(r"\?[\w.%-]+=[^\s\"']*")
# PostgreSQL quotes rows in DETAIL, parameters in CONTEXT, and input behind "invalid input".
FROM_DETAIL = re.compile(r"\s*\b(?:DETAIL|CONTEXT):  .*", re.DOTALL)
QUOTED_INPUT = re.compile(r"(invalid (?:input|byte)[^:\n]*|value [^:\n]*out of range):.*", re.DOTALL)
DJANGO_QUOTE = re.compile("“[^”]*”")
DEEPEST_CHAIN = 10
FIRST = (
    *("timestamp", "log_level", "service", "method", "event", "error_code", "request_id", "user_id", "conversation_id"),
    *("duration_ms", "help_request_id"),
)


def scrub(text: str) -> str:
    """Remove e-mail addresses, tokens, query strings, and input that PostgreSQL or Django quotes."""
    for pattern, instead in (
        (FROM_DETAIL, ""),
        (QUOTED_INPUT, r"\1"),
        (DJANGO_QUOTE, "“…”"),
        (TOKEN, "[token]"),
        (EMAIL, "[e-mail]"),
        (QUERY, "?…"),
    ):
        text = pattern.sub(instead, text)
    return text


def scrub_all(value: Any) -> Any:
    """Return the value with every text in it scrubbed."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: scrub_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrub_all(item) for item in value]
    return value


def render_exception(error: BaseException) -> str:
    """Render the traceback as Python does, with each exception's message scrubbed."""
    return "\n".join(_render_chain(error))


def _render_chain(error: BaseException) -> Iterator[str]:
    chain = [(error, "")]
    while len(chain) < DEEPEST_CHAIN:
        last = chain[-1][0]
        if last.__cause__ is not None:
            chain.append((last.__cause__, "The above exception was the direct cause of the following exception:"))
        elif last.__context__ is not None and not last.__suppress_context__:
            chain.append((last.__context__, "During handling of the above exception, another exception occurred:"))
        else:
            break
    for one, joint in reversed(chain):
        yield "Traceback (most recent call last):"
        yield "".join(traceback.format_tb(one.__traceback__)).rstrip("\n")
        message = scrub(str(one)).strip()
        yield f"{type(one).__module__}.{type(one).__qualname__}" + (f": {message}" if message else "")
        if joint:
            yield f"\n{joint}\n"


def add_request_id(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if "request_id" not in entry and request_ids.current():
        entry["request_id"] = request_ids.current()
    return entry


def render_exceptions(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    found = entry.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        entry["exception"] = render_exception(found)
    return entry


def scrub_entry(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in entry.items():
        # It is scrubbed already, exception by exception. Scrubbing it whole would cut it at the first DETAIL.
        if name != "exception" and not name.startswith("_"):
            entry[name] = scrub_all(value)
    return entry


def name_level(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Spell the level as the playbook does: info, warn, error."""
    level = str(entry.pop("level", method))
    entry["log_level"] = {"warning": "warn", "critical": "error", "exception": "error"}.get(level, level)
    return entry


def put_in_order(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the important fields first, in the order of the playbook's example."""
    return {name: entry[name] for name in FIRST if name in entry} | dict(entry)


PROCESSORS: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    add_request_id,
    render_exceptions,
    name_level,
    scrub_entry,
    put_in_order,
]


@cache
def _in_order(*names: str) -> tuple[str, ...]:
    """Return the names of a line's fields in the order of `put_in_order`. There are a few kinds of lines."""
    return tuple(put_in_order(None, "", dict.fromkeys(names)))


class FinishedLine(str):
    """A line as it is printed."""

    __slots__ = ()


_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=str).encode


def write_line(logger: logging.Logger, level: int, event: str, **fields: Any) -> None:
    """Log a line of ids, numbers and words of ours: there is nothing to scrub. A field that is None is left out.

    Each request writes one.
    """
    if not logger.isEnabledFor(level):
        return
    entry = {
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "log_level": _LEVELS[level],
        "event": event,
        "request_id": request_ids.current() or None,
        **fields,
        "logger": logger.name,
    }
    line = _encode({name: entry[name] for name in _in_order(*entry) if entry[name] is not None})
    logger.handle(logger.makeRecord(logger.name, level, "", 0, FinishedLine(line), (), None))


_LEVELS = {logging.INFO: "info", logging.WARNING: "warn", logging.ERROR: "error"}


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Render records of the standard library and of structlog in the same way."""

    def __init__(self) -> None:
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False),
            ],
            foreign_pre_chain=PROCESSORS,
            # A traceback that a record carries as text is unscrubbed.
            keep_exc_info=False,
        )

    def format(self, record: logging.LogRecord) -> str:
        return record.msg if type(record.msg) is FinishedLine else super().format(record)


# No line names its thread or process: nobody need look them up.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def configuration() -> dict[str, Any]:
    """Return Django's LOGGING: events of the rollout on stdout, everything else on stderr, as JSON."""
    configure_structlog()
    events = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    loggers = {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # Refusals are not incidents. Faults are errors, and logged.
        "django.request": {"level": "ERROR"},
        # The view that answers a malformed request logs one line, without a traceback.
        "django.security": {"level": "CRITICAL"},
        "axes": {"level": "WARNING"},
        # At INFO it logs the address of each call: an alert channel's address holds a secret.
        "httpx": {"level": "WARNING"},
        "rollout.telemetry.events": {"handlers": ["events"], "level": "INFO", "propagate": False},
    }
    return _as_json("INFO", loggers, events=events)


def gunicorn_configuration() -> dict[str, Any]:
    """Return the configuration of gunicorn's own loggers; its access log stays off."""
    loggers = {"gunicorn.error": {"handlers": ["console"], "level": "WARNING", "propagate": False}}
    return _as_json("WARNING", loggers)


def _as_json(level: str, loggers: dict[str, Any], **handlers: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "carecollective.observability.logging.JsonFormatter"}},
        # gunicorn's own root logger asks for a handler of this name.
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}, **handlers},
        "root": {"handlers": ["console"], "level": level},
        "loggers": loggers,
    }


def configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
