"""A client that knows what it was promised: it writes down what was acknowledged, and repeats the rest with the same id."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from tests.sites import Answer, Seat, Site, ask, messages_path

PAUSE = 0.05
NO_ANSWER = "no answer"
DROPPED = "dropped"


@dataclass(slots=True)
class Message:
    """One thing said: by whom, where, and whether the site said that it is kept."""

    id: UUID
    content: str
    seat: Seat
    began_at: float
    acknowledged_at: float | None = None
    tries: int = 0

    @property
    def seconds(self) -> float:
        return (self.acknowledged_at or time.monotonic()) - self.began_at


class Sender(threading.Thread):
    """Says one thing after another from one seat, each until it is acknowledged.

    A share of the answers is dropped: half of those unread, with the connection cut, half read and forgotten.
    """

    def __init__(self, site: Site, seat: Seat, *, number: int, drop: float = 0.0, repeat: bool = True) -> None:
        super().__init__(name=f"sender-{number}", daemon=True)
        self.site, self.seat, self.number, self.drop, self.repeat = site, seat, number, drop, repeat
        self.chance = random.Random(number)
        self.messages: list[Message] = []
        self.outcomes: Counter[str] = Counter()
        self.anomalies: list[str] = []
        self.stopping = threading.Event()
        self.connection: http.client.HTTPConnection | None = None

    @property
    def acknowledged(self) -> int:
        return sum(1 for message in list(self.messages) if message.acknowledged_at is not None)

    def run(self) -> None:
        while not self.stopping.is_set():
            message = Message(uuid4(), f"Sender {self.number}, {uuid4()}", self.seat, time.monotonic())
            self.messages.append(message)
            while message.acknowledged_at is None:
                self._try(message)
                if message.acknowledged_at is None:
                    # Who is only to be told of a loss gives up once nothing answers any more.
                    if not self.repeat and self.stopping.is_set():
                        break
                    time.sleep(PAUSE)
        self._hang_up()

    def _try(self, message: Message) -> None:
        message.tries += 1
        is_dropped = self.chance.random() < self.drop
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=15)
            body = {"content": message.content, "id": str(message.id)}
            if is_dropped and self.chance.random() < 0.5:
                self._ask_and_leave(body)
                return
            answer = ask(self.connection, "POST", messages_path(self.seat), token=self.seat.token, body=body)
        except (OSError, http.client.HTTPException):
            self._hang_up()
            self.outcomes[NO_ANSWER] += 1
            return
        if is_dropped:
            self.outcomes[DROPPED] += 1
            return
        self._note(message, answer)

    def _ask_and_leave(self, body: dict[str, str]) -> None:
        connection, self.connection = self.connection, None
        assert connection is not None
        headers = {"Content-Type": "application/json", "Authorization": f"Token {self.seat.token}"}
        connection.request("POST", messages_path(self.seat), body=http_json(body), headers=headers)
        connection.close()
        self.outcomes[DROPPED] += 1

    def _note(self, message: Message, answer: Answer) -> None:
        self.outcomes[str(answer.status)] += 1
        match answer.status:
            case 200 | 201 if answer.body["message_id"] == str(message.id):
                message.acknowledged_at = time.monotonic()
            case 503 if answer.code == "database_error" and int(answer.headers.get("Retry-After", 0)) > 0:
                pass
            case _:
                self.anomalies.append(f"{answer.status} {answer.headers} {answer.body!r}"[:500])

    def _hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def http_json(body: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": "{value}"' for name, value in body.items()) + "}"


@dataclass(slots=True)
class Talk:
    """All that several senders said and were told, at work while the block runs."""

    site: Site
    senders: Sequence[Sender]
    faults: int = 0
    kept: list[tuple[UUID, UUID, str]] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return sum(sender.acknowledged for sender in self.senders)

    @property
    def messages(self) -> list[Message]:
        return [message for sender in self.senders for message in list(sender.messages)]

    def wait_for_more(self, count: int, *, seconds: float = 60.0) -> float:
        """Wait until each sender has had so many more acknowledged, and return how long that took."""
        wanted = [sender.acknowledged + count for sender in self.senders]
        began = time.monotonic()
        while any(sender.acknowledged < least for sender, least in zip(self.senders, wanted, strict=True)):
            if time.monotonic() - began > seconds:
                raise AssertionError(f"nothing more came through: {self.report()} {self.site.said[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - began

    def report(self) -> "Report":
        """Compare what was acknowledged with what the database holds."""
        places = list({sender.seat.conversation_id for sender in self.senders})
        since = [message.content for message in self.messages]
        kept = self.site.rows(
            "SELECT id, sender_id, content FROM messages_v2 WHERE conversation_id = ANY (%s) AND content = ANY (%s)"
            " UNION ALL"
            " SELECT id, sender_id, content FROM messages WHERE conversation_id = ANY (%s) AND content = ANY (%s)",
            places, since, places, since,
        )  # fmt: skip
        acknowledged = [message for message in self.messages if message.acknowledged_at is not None]
        held = {(key, sender, content) for key, sender, content in kept}
        return Report(
            sent=len(self.messages),
            tries=sum(message.tries for message in self.messages),
            acknowledged=len(acknowledged),
            lost=sum((one.id, one.seat.member_id, one.content) not in held for one in acknowledged),
            duplicated=len(kept) - len({content for _, _, content in kept}),
            outcomes=sum((sender.outcomes for sender in self.senders), Counter()),
            anomalies=[anomaly for sender in self.senders for anomaly in sender.anomalies],
            longest_wait=max((message.seconds for message in acknowledged), default=0.0),
        )


@dataclass(frozen=True, slots=True)
class Report:
    sent: int
    tries: int
    acknowledged: int
    lost: int
    duplicated: int
    outcomes: "Counter[str]"
    anomalies: Sequence[str]
    longest_wait: float

    @property
    def words(self) -> str:
        outcomes = ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        return (
            f"{self.acknowledged} of {self.sent} acknowledged in {self.tries} tries ({outcomes}); "
            f"{self.lost} lost, {self.duplicated} duplicated, longest wait {self.longest_wait:.2f} s"
        )


@contextmanager
def talking(site: Site, seats: Sequence[Seat], *, drop: float = 0.0, repeat: bool = True) -> Iterator[Talk]:
    """Have everyone talk at once until the block ends; each still finishes what they were saying."""
    senders = [Sender(site, seat, number=n, drop=drop, repeat=repeat) for n, seat in enumerate(seats)]
    for sender in senders:
        sender.start()
    try:
        yield Talk(site, senders)
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join(60)
