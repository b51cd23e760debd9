"""The id of a request, in its answer and its log lines."""

import re
import uuid
from contextvars import ContextVar

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_current: ContextVar[str] = ContextVar("request_id", default="")


def adopt(offered: str | None) -> str:
    """Set the id of this request: the caller's when it is well formed, or a new one."""
    request_id = offered if offered and _WELL_FORMED.fullmatch(offered) else uuid.uuid4().hex
    _current.set(request_id)
    return request_id


def current() -> str:
    return _current.get()
