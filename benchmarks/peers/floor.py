"""The floor: WSGI and psycopg without a framework, with the same work for the database as the site gives it.

It reads the inbox by the site's own statement, for both versions, and counts rate limits, asks how two members stand and
queues the notification as the site does. It trusts its input.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from benchmarks.peers import answers, statements
from benchmarks.peers.statements import named
from carecollective.inbox.queries import LIST, LOCATE, PLACES, SHOWN

INBOX = LIST.format(place=PLACES["first"], shown=SHOWN["everything"], direction="DESC")
SQL = {name: named(text) for name, text in vars(statements).items() if name.isupper() and isinstance(text, str)}
_local = threading.local()

Environ = dict[str, Any]
Answer = tuple[str, dict[str, Any]]


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
    connection = _connection()
    parts = environ["PATH_INFO"].split("/")[3:]  # after /api/messaging
    with connection.transaction():
        member = _ask(connection, SQL["TOKEN"], answers.digest_of(environ.get("HTTP_AUTHORIZATION", "")))
        if not member:
            raise Refused("401 Unauthorized", answers.NOT_SIGNED_IN)
        reader = member[0][0]
        _ask(connection, SQL["ACT"], str(reader))
        match environ["REQUEST_METHOD"], parts:
            case "POST", ["help-requests", request_id, "start-conversation"]:
                return "201 Created", _start(connection, reader, UUID(request_id), _body(environ)["initial_message"])
            case "POST", ["conversations", conversation_id, "messages"]:
                return "201 Created", _send(connection, reader, UUID(conversation_id), _body(environ)["content"])
            case "GET", ["conversations"]:
                undated = datetime(1, 1, 1, tzinfo=UTC)
                rows = connection.execute(INBOX, {"reader": reader, "limit": 21, "undated": undated}).fetchall()
                return "200 OK", answers.inbox([(row[0], *row[2:13], row[17]) for row in rows])
            case "GET", ["conversations", conversation_id]:
                _locate(connection, reader, UUID(conversation_id))
                found = _ask(connection, SQL["CONVERSATION"], conversation_id, reader)
                return "200 OK", answers.thread(found[0], _ask(connection, SQL["LATEST"], conversation_id, 51))
            case "GET", ["conversations", conversation_id, "messages"]:
                _locate(connection, reader, UUID(conversation_id))
                after = environ["QUERY_STRING"].removeprefix("after=")
                return "200 OK", answers.newer(_ask(connection, SQL["NEWER"], conversation_id, after))
    raise Refused("404 Not Found", answers.NOT_FOUND)


def _start(connection: psycopg.Connection[Any], helper: UUID, request_id: UUID, words: str) -> dict[str, Any]:
    _ask(connection, SQL["V2_STARTS"], statements.V2_STARTS_LOCK)
    _ask(connection, SQL["STAGE"])
    found = _ask(connection, SQL["LOCK_REQUEST"], request_id)
    if not found or found[0][1] not in ("open", "in_progress"):
        raise Refused("404 Not Found", answers.NOT_FOUND)
    owner = found[0][0]
    _ask(connection, SQL["STANDING"], owner)
    if _ask(connection, SQL["PAIR"], request_id, helper) or _ask(connection, SQL["PAIR_V1"], request_id, helper):
        raise Refused("409 Conflict", answers.NOT_FOUND)
    conversation_id = uuid4()
    _do(connection, SQL["START"], conversation_id, request_id, owner, helper, words)
    _count(connection, helper, "start_conversation", "1 hour")
    _do(connection, SQL["NOTIFY"], uuid4(), owner, conversation_id, "new_conversation")
    return answers.started(conversation_id)


def _send(connection: psycopg.Connection[Any], sender: UUID, conversation_id: UUID, words: str) -> dict[str, Any]:
    found = _ask(connection, SQL["LOCK_CONVERSATION"], conversation_id)
    if not found or found[0][2] != "active":
        raise Refused("404 Not Found", answers.NOT_FOUND)
    requester, helper, _status = found[0]
    other = helper if requester == sender else requester
    _ask(connection, SQL["STANDING"], other)
    (stored,) = _ask(connection, SQL["SEND_AND_TOUCH"], uuid4(), conversation_id, sender, words)
    _count(connection, sender, "send_message", "1 minute")
    _do(connection, SQL["NOTIFY"], uuid4(), other, conversation_id, "new_message")
    return answers.sent(stored)


def _locate(connection: psycopg.Connection[Any], reader: UUID, conversation_id: UUID) -> None:
    given = {"reader": reader, "conversation": conversation_id, "mark": False}
    if not connection.execute(LOCATE, given).fetchall():
        raise Refused("404 Not Found", answers.NOT_FOUND)


def _count(connection: psycopg.Connection[Any], member: UUID, action: str, window: str) -> None:
    _ask(connection, SQL["LIMIT_LOCK"], f"{action}:{member}")
    _ask(connection, SQL["COUNT"], member, action, window)


def _ask(connection: psycopg.Connection[Any], statement: str, *values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(statement, _named(values)).fetchall()


def _do(connection: psycopg.Connection[Any], statement: str, *values: Any) -> None:
    connection.execute(statement, _named(values))


def _named(values: tuple[Any, ...]) -> dict[str, Any]:
    return {f"p{number}": value for number, value in enumerate(values)}


def _body(environ: Environ) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    return body


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["PEER_DATABASE_URL"], autocommit=True, prepare_threshold=2)
    connection: psycopg.Connection[Any] = _local.connection
    return connection
