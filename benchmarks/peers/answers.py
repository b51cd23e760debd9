"""The shapes that every peer answers in, the site's own; built from rows in the order of `statements`."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

Row = Sequence[Any]
MESSAGE = ("id", "sender_id", "content", "created_at", "updated_at")
CONVERSATION = (
    *("id", "help_request_id", "requester_id", "helper_id", "initial_message", "status", "created_at", "updated_at"),
)
NOT_SIGNED_IN = {"success": False, "error": {"code": "unauthorized", "message": "Please sign in."}}
NOT_FOUND = {"success": False, "error": {"code": "not_found", "message": "There is nothing here."}}


def digest_of(authorization: str) -> str:
    """Return the hash that a token is stored by."""
    return hashlib.sha512(authorization.removeprefix("Token ").encode()).hexdigest()


def message(row: Row) -> dict[str, Any]:
    return dict(zip(MESSAGE, row, strict=True))


def started(conversation_id: Any) -> dict[str, Any]:
    return {
        "success": True,
        "conversation_id": conversation_id,
        "version": "v2",
        "message": "Conversation created successfully",
    }


def sent(row: Row) -> dict[str, Any]:
    return {"success": True, "message_id": row[0], "version": "v2", "message": message(row)}


def inbox(rows: Sequence[Row]) -> dict[str, Any]:
    return {"results": [_conversation(row) for row in rows[:20]]}


def thread(conversation: Row, latest: Sequence[Row]) -> dict[str, Any]:
    return {
        "conversation": {**dict(zip(CONVERSATION, conversation, strict=True)), "version": "v2"},
        "messages": [message(row) for row in latest[:50]][::-1],
    }


def newer(rows: Sequence[Row]) -> dict[str, Any]:
    return {"messages": [message(row) for row in rows[:200]], "has_more": len(rows) > 200}


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def as_text(value: Any) -> str:
    """Write what JSON has no type for: dates and ids."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _conversation(row: Row) -> dict[str, Any]:
    (key, status, updated_at, request_id, title, request_status, other_id, name) = row[:8]
    (last_id, sender_id, content, created_at, unread) = row[8:]
    return {
        "id": key,
        "version": "v2",
        "help_request": {"id": request_id, "title": title, "status": request_status},
        "other_participant": {"id": other_id, "name": name},
        "status": status,
        "last_message": {"id": last_id, "sender_id": sender_id, "content": content, "created_at": created_at},
        "unread_count": unread,
        "updated_at": updated_at,
    }
