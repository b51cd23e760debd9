"""How many rows each hot statement reads for what it returns, as the web role with the policies on."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from benchmarks.explain import Explained, explain
from benchmarks.peers.site_statements import ACT
from benchmarks.seed import DATA_DIR, Size, key
from carecollective.core.pagination import UNDATED
from carecollective.inbox.queries import LISTS, LOCATED_THREAD, LOCATION_COLUMNS, PAIR, POLL_V2, UNREAD
from carecollective.messaging.statements import LOCK_REQUEST
from carecollective.postgres.dsn import connect, connection_url
from carecollective.postgres.roles import Connection
from messaging_v2.statements import LOCK_AND_STANDING, OPEN_AND_NOTE, SEND_AND_NOTE

# Members of whom one thing is known; each has a conversation of the name with a 1 behind it.
FEW, MANY, LONG = "few", "many", "long"
INBOX_PAGE, THREAD_PAGE, POLL_PAGE = 21, 51, 201  # each asks for one more than it shows

# A message is read together with its conversation, which the policy of messages looks up.
_FOR_A_MESSAGE = 2
# A listed conversation: itself, its read pointer, its request, the other person, and its newest message with the name of who
# wrote it.
_FOR_A_CONVERSATION = 5 + _FOR_A_MESSAGE
# A thread: its conversation, once to find it and once to show it, its newest message, its request, both people, the pointer.
_FOR_A_THREAD = 6 + _FOR_A_MESSAGE

Rows = Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """A statement, its values, and how many rows it must read for what it returned."""

    name: str
    person: str
    statement: str
    values: Mapping[str, Any]
    needed: Callable[[Rows], int] = len


@dataclass(frozen=True, slots=True)
class Finding:
    """What one statement read for one member."""

    what: str
    needed: int
    explained: Explained

    @property
    def read(self) -> int:
        return self.explained.rows_read

    @property
    def ratio(self) -> float:
        return self.read / max(self.needed, 1)


def measure_plans(size: Size) -> Mapping[str, float]:
    """Return the worst ratio of rows read to rows that had to be read, and the number of sequential scans of large tables."""
    with connect(connection_url(DATA_DIR, "web", size.database)) as connection:
        found = list(find(connection))
    worst = max(found, key=lambda finding: finding.ratio)
    print(f"Most rows for what it returns: {worst.what}, {worst.read} for {worst.needed}.", flush=True)
    return {
        "rows read for each that is needed": worst.ratio,
        "sequential scans": sum(len(one.explained.sequential_scans) for one in found),
    }


def find(connection: Connection) -> Iterator[Finding]:
    """Try each hot statement, as it is planned at first and as it is planned once it is asked often."""
    for person in (FEW, MANY, LONG):
        for case in _cases(person):
            for is_generic in (False, True):
                with connection.transaction(force_rollback=True):
                    connection.execute(ACT, [str(key("member", person))])
                    explained = explain(connection, case.statement, case.values, is_generic=is_generic)
                what = f"{case.name} of {person}, planned {'for all' if is_generic else 'for these'} values"
                yield Finding(what, case.needed(explained.returned), explained)


def _cases(person: str) -> Iterator[Case]:
    me, owner, conversation = key("member", person), key("member", "owner"), key("conversation", f"{person}1")
    request, fresh = key("request", f"{person}1"), key("fresh", 0)
    reader = {"reader": me, "undated": UNDATED}
    for name, about in (("start: standing pair", request), ("start: no pair yet", fresh)):
        yield Case(name, person, PAIR, {"help_request": about, "helper": me})
    yield Case("start: lock request", person, LOCK_REQUEST, {"help_request": fresh})
    counted = {"who": str(me), "times": 20, "span": timedelta(minutes=1), "of_client": False}
    noted = counted | {"note": uuid.uuid4(), "recipient": owner, "version": "v2", "kind": "new_message"}
    new: dict[str, Any] = {"conversation": uuid.uuid4(), "help_request": fresh, "requester": owner, "helper": me}
    new |= {"initial_message": "I can help you with this.", "what": "start_conversation"}
    # The policy looks up the request.
    yield Case("start: open", person, OPEN_AND_NOTE, noted | new)
    yield Case("send: lock conversation", person, LOCK_AND_STANDING, {"conversation": conversation, "member": me})
    sent = {"id": uuid.uuid4(), "conversation": conversation, "sender": me, "content": "Tomorrow at two?"}
    # The conversation: to update it, and for the policies of writing the message and of returning it.
    yield Case("send", person, SEND_AND_NOTE, noted | sent | {"what": "send_message"}, lambda rows: 3 * len(rows))
    yield Case("inbox", person, LISTS["inbox", "first"], reader | {"limit": INBOX_PAGE}, _of_a_page)
    yield Case("unread", person, UNREAD, reader, _of_unread)
    for place, anchor in (("latest", None), ("older", key("message", f"{person}1/20"))):
        values = {"reader": me, "conversation": conversation, "anchor": anchor, "limit": THREAD_PAGE, "mark": True}
        yield Case(f"thread, {place}", person, LOCATED_THREAD[place], values, _of_a_thread)
    for place, anchor in (("latest", None), ("newer", key("message", f"{person}1/45"))):
        values = {"reader": me, "conversation": conversation, "anchor": anchor, "limit": POLL_PAGE}
        yield Case(f"poll, {place}", person, POLL_V2[place], values, _of_a_poll)


def _of_a_page(rows: Rows) -> int:
    return sum(_FOR_A_CONVERSATION + _FOR_A_MESSAGE * row[-2] for row in rows)


def _of_unread(rows: Rows) -> int:
    ((unread,),) = rows
    return _FOR_A_MESSAGE * int(unread)


def _of_a_thread(rows: Rows) -> int:
    return _FOR_A_THREAD + _FOR_A_MESSAGE * _messages(rows[0][LOCATION_COLUMNS:])


def _of_a_poll(rows: Rows) -> int:
    # The conversation, and the message that the poll begins behind.
    return 1 + _FOR_A_MESSAGE * (1 + _messages(rows[0]))


def _messages(row: tuple[Any, ...]) -> int:
    """Return how many messages a row holds in its arrays: its last five columns."""
    return len(row[-5] or ())
