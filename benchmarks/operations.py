"""The five operations as a client asks for them, and the check that every peer answers the same."""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from benchmarks.seed import FRESH_REQUESTS, Size, key, thread_of, token
from benchmarks.servers import Server

WRITING = ("start", "send")
NAMES = (*WRITING, "inbox", "thread", "poll")
WORDS = "Hello, I can help you with this."


class WrongAnswer(SystemExit):
    """A peer answered something else than the site does: its figures would mean nothing."""


@dataclass(slots=True)
class Client:
    """One kept connection to a server. Members, threads and requests are taken in turns, the same for every peer."""

    server: Server
    size: Size
    turn: int = 0
    etag: str | None = None
    etags: dict[UUID, str] = field(default_factory=dict)
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)

    def run(self, operation: str) -> tuple[int, Any]:
        """Do an operation once; return status and body."""
        operations: Mapping[str, Callable[[int], tuple[int, Any]]] = {
            "start": self.start,
            "send": self.send,
            "inbox": self.inbox,
            "thread": self.thread,
            "poll": self.poll,
        }
        self.turn += 1
        return operations[operation](self.turn)

    def start(self, turn: int) -> tuple[int, Any]:
        path = f"/api/messaging/help-requests/{key('fresh', turn % FRESH_REQUESTS)}/start-conversation"
        return self.ask(
            "POST", path, f"{self.server.peer.people}{turn % self.size.members}", {"initial_message": WORDS}
        )

    def send(self, turn: int) -> tuple[int, Any]:
        number = turn * 7 % self.size.conversations
        path = f"/api/messaging/conversations/{key('conversation', number)}/messages"
        return self.ask("POST", path, number % self.size.members, {"content": f"{WORDS} ({turn})"})

    def inbox(self, turn: int) -> tuple[int, Any]:
        return self.ask("GET", "/api/messaging/conversations", turn % self.size.members)

    def thread(self, turn: int) -> tuple[int, Any]:
        conversation, helper = thread_of(turn % (self.size.conversations // 11))
        return self.ask("GET", f"/api/messaging/conversations/{conversation}", helper % self.size.members)

    def poll(self, turn: int) -> tuple[int, Any]:
        """Ask for what is newer than the thirtieth of sixty messages; after the first time, with the ETag."""
        number = turn % min(20, self.size.conversations // 11)
        conversation, helper = thread_of(number)
        path = f"/api/messaging/conversations/{conversation}/messages?after={key('message', f'{helper}/30')}"
        etag = self.etags.get(conversation)
        status, body = self.ask("GET", path, helper % self.size.members, **({"If-None-Match": etag} if etag else {}))
        if status == 200:
            self.etags[conversation] = self.etag or ""
        return status, body

    def ask(self, method: str, path: str, member: int | str, body: Any = None, **headers: str) -> tuple[int, Any]:
        headers |= {"Authorization": f"Token {token(member)}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self.etag = answer.headers.get("ETag")
        return answer.status, content


def expect(operation: str, status: int) -> None:
    """Raise WrongAnswer unless the status is the one of success."""
    if status not in {"start": (201,), "send": (201,), "poll": (200, 304)}.get(operation, (200,)):
        raise WrongAnswer(f"{operation} was answered with {status}.")


def answers_of(client: Client) -> dict[str, Any]:
    """Do every operation once, and return what was answered without what differs from call to call."""
    found: dict[str, Any] = {}
    # What reads comes first: a start would change it.
    for operation in ("start",) if client.server.peer.starts_only else ("inbox", "thread", "poll", "start", "send"):
        client.turn = 40
        status, content = client.run(operation)
        found[operation] = {"status": status, "body": _comparable(operation, json.loads(content))}
    if not client.server.peer.starts_only:
        client.turn = 40
        found["poll again"] = {"status": client.run("poll")[0]}
        for person in ("short", "short-read"):
            status, content = client.ask("GET", "/api/messaging/conversations", person)
            found[f"inbox of {person}"] = {"status": status, "body": _comparable("inbox", json.loads(content))}
    found["as nobody"] = {"status": client.ask("GET", "/api/messaging/conversations", "nobody")[0]}
    return found


def check_same(answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise WrongAnswer, naming peer and operation, where an answer differs from the first peer's."""
    first, *others = answers
    for other in others:
        for operation, answer in answers[other].items():
            wanted = answers[first][operation]
            if answer != wanted:
                raise WrongAnswer(
                    f"{other} answers {operation} otherwise than {first}:\n{answer!s:.2000}\n{wanted!s:.2000}"
                )


def _comparable(operation: str, body: Any) -> Any:
    match operation:
        case "inbox":
            return _plain(body["results"])
        case "start":
            return {**body, "conversation_id": str(UUID(body["conversation_id"])).count("-"), "version": "any"}
        case "send":
            said = body["message"]
            same = body["message_id"] == said["id"] and said["created_at"][:10] == said["updated_at"][:10]
            return {"keys": sorted(said), "content": said["content"], "sender": said["sender_id"], "same": same}
        case "thread":
            return _plain({"conversation": body["conversation"], "messages": body["messages"]})
        case _:
            return _plain(body)


def _plain(value: Any) -> Any:
    """Write every moment in one way: peers differ in `Z`, and django-ninja writes milliseconds."""
    if isinstance(value, dict):
        return {name: _moment(one) if name.endswith("_at") else _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).isoformat(timespec="milliseconds")
