"""What an answer must be, whatever was asked: no fault of ours, each refusal in its shape, nothing of the request's in the headers."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.test import Client
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from carecollective.accounts.models import User
from carecollective.web.openapi import ERROR, published_document
from tests.sessions import give_session

ENVELOPE = Draft202012Validator(
    ERROR | {"additionalProperties": False, "components": {"schemas": published_document()["components"]["schemas"]}}
)
OURS = {"sessionid", "csrftoken", "messages"}
# All but tab, line feed and carriage return: no page may hold them.
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")
TRACES = (b"Traceback (most recent call last)", b"psycopg.errors", b"django.db.utils", b"/site-packages/", b"SELECT ")


@dataclass
class Judge:
    """Collects what was wrong, so that one run tells all of it, and how much was tried."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)

    def look_at(self, answer: Any, asked: str, *, is_api: bool) -> None:
        self.tried += 1
        self.wrong += [f"{asked}: {fault}" for fault in faults_of(answer, is_api=is_api)]

    def decide(self) -> None:
        assert self.tried > 0
        assert not self.wrong, f"{len(self.wrong)} wrong of {self.tried}:\n" + "\n".join(self.wrong[:40])


def faults_of(answer: Any, *, is_api: bool) -> Iterator[str]:
    """Say what is wrong with an answer; nothing, most of the time."""
    status = answer.status_code
    in_api = answer.wsgi_request.path.startswith(("/api/", "/metrics"))
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    if answer.get("Content-Encoding") == "gzip" and body:
        body = gzip.decompress(body)
    if status >= 500 and not (status == 503 and b"pause" in body):
        yield f"answered {status} {body[-300:]!r}"
        return
    if any(trace in body for trace in TRACES):
        yield "shows how it is made"
    if answer.get("Content-Type", "").startswith("text/html") and (found := CONTROLS.search(body)):
        yield f"writes a control character back: {body[max(0, found.start() - 60) : found.end() + 20]!r}"
    if not answer.has_header("X-Request-ID"):
        yield "has no request id"
    for name, value in answer.items():
        if "\r" in f"{name}{value}" or "\n" in f"{name}{value}":
            yield f"breaks its header {name}"
    if strange := set(answer.cookies) - OURS:
        yield f"sets {strange}"
    if status >= 400 and is_api:
        yield from _faults_of_envelope(answer, body)
    elif status >= 400 and not answer["Content-Type"].startswith(
        ("text/html", "application/json")[: 2 if in_api else 1]
    ):
        yield f"is {answer['Content-Type']} to a person"
    if status in (429, 503) and not answer.get("Retry-After", "").isdecimal():
        yield "does not say when to try again"


def _faults_of_envelope(answer: Any, body: bytes) -> Iterator[str]:
    if answer.wsgi_request.method == "HEAD":
        return
    if not answer["Content-Type"].startswith("application/json"):
        yield f"is {answer['Content-Type']} to a program"
        return
    said = json.loads(body)
    yield from (f"is no envelope: {error.message}" for error in ENVELOPE.iter_errors(said))
    if not said.get("error", {}).get("message"):
        yield "says nothing to a person"


class Caller:
    """A client signed in by session, each of whose requests is undone: what one does is not in the way of the next."""

    def __init__(self, member: User | None = None) -> None:
        self.client = Client(raise_request_exception=False)
        if member is not None:
            give_session(self.client, member)
        self._session = self.client.cookies.get("sessionid")

    def ask(
        self,
        method: str,
        path: str,
        data: Any = b"",
        *,
        content_type: str = "application/octet-stream",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        extra: dict[str, Any] = {"QUERY_STRING": query} if query else {}
        with undone():
            answer = self.client.generic(method, path, data, content_type=content_type, headers=headers, **extra)
            # Foreign keys are looked at when a transaction ends, and this one never does.
            if not connection.needs_rollback:
                with connection.cursor() as cursor:
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        self.client.cookies.clear()
        if self._session is not None:
            self.client.cookies["sessionid"] = self._session.value
        return answer


@contextmanager
def undone() -> Iterator[None]:
    """Take back all that the block writes."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
