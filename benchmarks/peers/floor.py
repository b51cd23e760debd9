"""The floor: WSGI and psycopg without a framework, with the same statements as the site.

It counts rate limits, asks how two members stand and notes whom to tell, as the site does. It trusts its input.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from benchmarks.peers import answers
from benchmarks.peers import site_statements as sql

UNDATED = datetime(1, 1, 1, tzinfo=UTC)
_local = threading.local()

Environ = dict[str, Any]
Answer = tuple[str, dict[str, Any]]
Values = Mapping[str, Any] | tuple[Any, ...]


class Refused(Exception):
    def __init__(self, status: str, body: dict[str, Any]) -> None:
        self.status, self.body = status, body


def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    try:
        status, body = _answer(environ)
    except Refused as refusal:
        status, body = refusal.status, refusal.body
    content = json.dumps(body, default=answers.as_text, separators=(",", ":")).encode()
    headers = [("Content-Type", "application/json")]
    if environ["REQUEST_METHOD"] == "GET" and "/messages" in environ["PATH_INFO"]:
        tag = answers.etag(content)
        headers.append(("ETag", tag))
        if environ.get("HTTP_IF_NONE_MATCH") == tag:
            start_response("304 Not Modified", headers)
            return []
    start_response(status, [*headers, ("Content-Length", str(len(content)))])
    return [content]


def _answer(environ: Environ) -> Answer:
    member = _ask(sql.FIND_TOKEN, (answers.digest_of(environ.get("HTTP_AUTHORIZATION", "")),))
    if not member:
        raise Refused("401 Unauthorized", answers.NOT_SIGNED_IN)
    reader: UUID = member[0][1]
    _run("BEGIN;" + sql.filled(sql.ACT, (f"'{reader}'",)))
    try:
        answer = _answer_member(environ, reader)
    except BaseException:
        _run("ROLLBACK")
        raise
    _run("COMMIT")
    return answer


def _answer_member(environ: Environ, reader: UUID) -> Answer:
    parts = environ["PATH_INFO"].split("/")[3:]  # after /api/messaging
    match environ["REQUEST_METHOD"], parts:
        case "POST", ["help-requests", request_id, "start-conversation"]:
            return "201 Created", _start(reader, UUID(request_id), _body(environ)["initial_message"])
        case "POST", ["conversations", conversation_id, "messages"]:
            return "201 Created", _send(reader, UUID(conversation_id), _body(environ)["content"])
        case "GET", ["conversations"]:
            rows = _ask(sql.LISTS["everything", "first"], {"reader": reader, "limit": 21, "undated": UNDATED})
            return "200 OK", answers.inbox([(row[0], *row[2:13], row[17]) for row in rows])
        case "GET", ["conversations", conversation_id]:
            asked = {"reader": reader, "conversation": UUID(conversation_id), "limit": 51, "mark": False}
            thread = _first(sql.LOCATED_THREAD["latest"], asked)[sql.LOCATION_COLUMNS :]
            return "200 OK", answers.thread(thread[:8], _said(thread[-5:]))
        case "GET", ["conversations", conversation_id, "messages"]:
            after = UUID(environ["QUERY_STRING"].removeprefix("after="))
            asked = {"reader": reader, "conversation": UUID(conversation_id), "limit": 201, "anchor": after}
            return "200 OK", answers.newer(_said(_first(sql.POLL_V2["newer"], asked)[-5:]))
    raise Refused("404 Not Found", answers.NOT_FOUND)


def _start(helper: UUID, request_id: UUID, words: str) -> dict[str, Any]:
    _run(f"{sql.ENTER};{sql.STAGE}")
    request = _first(sql.LOCK_REQUEST, {"help_request": request_id})
    if request[6] not in ("open", "in_progress"):
        raise Refused("404 Not Found", answers.NOT_FOUND)
    owner = request[1]
    if _ask(sql.PAIR, {"help_request": request_id, "helper": helper}):
        raise Refused("409 Conflict", answers.NOT_FOUND)
    conversation_id = uuid4()
    opened = {"help_request": request_id, "requester": owner, "helper": helper, "initial_message": words}
    _ask(sql.OPEN_AND_NOTE, opened | _counted_and_noted(sql.OFFER, helper, owner, conversation_id))
    return answers.started(conversation_id)


def _send(sender: UUID, conversation_id: UUID, words: str) -> dict[str, Any]:
    found = _first(sql.LOCK_AND_STANDING, {"conversation": conversation_id, "member": sender})
    requester, helper, status = found[2], found[3], found[5]
    if status != "active":
        raise Refused("404 Not Found", answers.NOT_FOUND)
    other = helper if requester == sender else requester
    new = {"id": uuid4(), "sender": sender, "content": words}
    stored = _first(sql.SEND_AND_NOTE, new | _counted_and_noted(sql.MESSAGE, sender, other, conversation_id))
    return answers.sent((stored[0], *stored[2:6]))


def _counted_and_noted(use: sql.Use, member: UUID, recipient: UUID, conversation_id: UUID) -> dict[str, Any]:
    used = {"who": str(member), "what": use.action, "times": 1000, "span": use.span, "of_client": False}
    note = {"note": uuid4(), "recipient": recipient, "conversation": conversation_id, "version": "v2", "kind": use.kind}
    return {**used, **note}


def _said(columns: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return the messages of which a row holds one array for each column."""
    return list(zip(*columns, strict=True)) if columns[0] else []


def _first(statement: str, values: Values) -> tuple[Any, ...]:
    rows = _ask(statement, values)
    if not rows:
        raise Refused("404 Not Found", answers.NOT_FOUND)
    return rows[0]


def _ask(statement: str, values: Values) -> list[tuple[Any, ...]]:
    return _connection().execute(statement, values, prepare=True).fetchall()


def _run(statements: str) -> None:
    """Run statements without values, in one round trip."""
    _connection().execute(statements, prepare=False)


def _body(environ: Environ) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    return body


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["PEER_DATABASE_URL"], autocommit=True)
    connection: psycopg.Connection[Any] = _local.connection
    return connection
