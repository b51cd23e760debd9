"""Answers for requests that never reach a view, worded by the site and with all its headers."""

import logging
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

from gunicorn.http import errors as gunicorn_errors
from gunicorn.http.errors import NoMoreData

from carecollective.serving.http_reader import BodyTooLarge, MissingHost
from carecollective.web.server_limits import REFUSAL_KEY

logger = logging.getLogger(__name__)

_REQUEST_ID = "request-id-of-the-refusal"


class RequestTimeout(Exception):
    """The client did not send its request in time."""


class RefusalWriter:
    """Lets the application write each kind of refusal once, and keeps the answer."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        # Head and body, by kind of refusal and whether it is a page.
        self._kept: dict[tuple[str, bool], tuple[str, bytes]] = {}

    def write(self, error: BaseException, *, first_line: bytes = b"", request_id: str | None = None) -> bytes:
        """Return the whole answer: a page, or JSON for an address under /api/. It closes the connection."""
        from carecollective.observability import request_ids  # noqa: PLC0415 -- as below
        from carecollective.web import access  # noqa: PLC0415 -- as below
        from carecollective.web.api import status_of  # noqa: PLC0415 -- as below

        refusal = _as_domain_error(error)
        is_page = first_line.startswith((b"GET /", b"POST /", b"HEAD /")) and b" /api/" not in first_line
        kind = (type(refusal).__name__, is_page)
        if kind not in self._kept:
            self._kept[kind] = self._ask_application(refusal, is_page=is_page)
        head, body = self._kept[kind]
        status = status_of(refusal)
        adopted = request_ids.adopt(request_id)
        access.count_answer(access.OTHER_METHOD, access.NO_ROUTE, status, 0.0)
        if not isinstance(error, (RequestTimeout, NoMoreData)):
            # Slow and vanished clients are normal, and may be many.
            logger.info("Refused a request: %s %s", status, type(error).__name__)
        body = body.replace(_REQUEST_ID.encode(), adopted.encode())
        head = head.replace(_REQUEST_ID, adopted)
        return f"{head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("latin-1") + body

    def _ask_application(self, refusal: Any, *, is_page: bool) -> tuple[str, bytes]:
        environ = {
            "PATH_INFO": "/" if is_page else "/api/",
            "HTTP_X_REQUEST_ID": _REQUEST_ID,
            REFUSAL_KEY: refusal,
        }
        status, headers, body = ask(self._application, environ)
        kept = [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
        return "\r\n".join([f"HTTP/1.1 {status}", *kept]), body


def ask(application: Callable[..., Any], environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    """Call the application with a request of our own; return the status line, the headers and the body."""
    # With http the application would redirect to https.
    environ = {"HTTP_HOST": "localhost", "wsgi.url_scheme": "https", **environ}
    setup_testing_defaults(environ)
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        begun.append((status, headers))

    answer = application(environ, start_response)
    try:
        body = b"".join(answer)
    finally:
        answer.close()
    status, headers = begun[-1]
    return status, headers, body


def _as_domain_error(error: BaseException) -> Any:
    from carecollective.core import errors  # noqa: PLC0415 -- imports Django, which gunicorn's master does not load

    match error:
        case BodyTooLarge():
            return errors.BodyTooLarge()
        case RequestTimeout():
            return errors.RequestTimeout()
        case gunicorn_errors.LimitRequestLine():
            return errors.AddressTooLong()
        case gunicorn_errors.LimitRequestHeaders():
            return errors.HeadersTooLarge()
        case gunicorn_errors.UnsupportedTransferCoding():
            return errors.UnknownTransferCoding()
        case gunicorn_errors.ExpectationFailed():
            return errors.ExpectationFailed()
        case MissingHost() | gunicorn_errors.ParseException() | OSError():
            return errors.MalformedRequest()
        case _:
            return errors.DomainError()
