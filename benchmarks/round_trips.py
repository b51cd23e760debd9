"""Statements and round trips of an operation, counted by a proxy between a peer and its database."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import operations, seed, servers
from benchmarks.operations import Client
from benchmarks.seed import DATA_DIR, Size
from benchmarks.servers import LABEL, Peer
from carecollective.postgres.embedded.layout import DataDirectory

SOCKET = ".s.PGSQL.5432"
# Protocol messages: Query and Execute run statements; ReadyForQuery ends what the client waited for.
QUERY, EXECUTE, READY = b"Q", b"E", b"Z"
CALLS = 24


@dataclass(slots=True)
class Counts:
    """What went through the proxy. A round trip is one wait: what is pipelined waits once."""

    statements: int = 0
    round_trips: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: bytes, *, from_client: bool) -> None:
        with self.lock:
            self.statements += from_client and kind in (QUERY, EXECUTE)
            self.round_trips += not from_client and kind == READY

    def reset(self) -> None:
        with self.lock:
            self.statements = self.round_trips = 0


def count(size: Size, peers: Sequence[Peer]) -> Mapping[str, Mapping[str, tuple[int, int]]]:
    """Return statements and round trips by peer's name and operation."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for peer in peers:
        seed.clear_writes(size.database)
        with _proxy() as (folder, counts), servers.running(peer, size.database, host=folder) as server:
            client = Client(server, size)
            for operation in operations.NAMES[:1] if peer.starts_only else operations.NAMES:
                found.setdefault(peer.name, {})[operation] = _smallest(client, counts, operation)
    return found


def _smallest(client: Client, counts: Counts, operation: str) -> tuple[int, int]:
    """Return the smallest count of some calls, after each thread of the server had one: by then all is prepared."""
    seen = []
    for _number in range(CALLS):
        counts.reset()
        client.turn = 40 if operation == "poll" else client.turn
        status, _body = client.run(operation)
        operations.expect(operation, status)
        seen.append((counts.round_trips, counts.statements))
    trips, statements = min(seen[CALLS // 2 :])
    return statements, trips


@contextmanager
def _proxy() -> Iterator[tuple[Path, Counts]]:
    """Listen in a folder of sockets, as the database does in its own."""
    counts = Counts()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    # Short, as a socket's path has some hundred characters at most.
    with TemporaryDirectory(prefix="bench-") as folder:
        target = DataDirectory(DATA_DIR).sockets / SOCKET

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream = await asyncio.open_unix_connection(str(target))
            # The first message of a client has no type, only a length. It says the application's name: the site's background
            # threads have others.
            head = await reader.readexactly(4)
            hello = head + await reader.readexactly(int.from_bytes(head, "big") - 4)
            upstream[1].write(hello)
            noted = counts if LABEL.encode() in hello else Counts()
            await asyncio.gather(
                _relay(reader, upstream[1], noted, from_client=True),
                _relay(upstream[0], writer, noted, from_client=False),
            )

        async def listen() -> asyncio.Server:
            return await asyncio.start_unix_server(serve, f"{folder}/{SOCKET}")

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result(5)
        try:
            yield Path(folder), counts
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: Counts, *, from_client: bool
) -> None:
    """Pass protocol messages on, one by one."""
    try:
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
            counts.note(head[:1], from_client=from_client)
            writer.write(head + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
