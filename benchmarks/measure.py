"""CPU for each request: the peers take turns, round after round, so that what else the machine does meets all of them.

They take turns at one operation before the next one, so that few seconds lie between the figures of a ratio.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import operations, seed, servers
from benchmarks.cpu import Meter
from benchmarks.operations import Client, expect
from benchmarks.seed import Size
from benchmarks.servers import Peer, Server

# At the beginning of each turn, and counted for nothing: until then the caches hold what the others worked with.
WARM_UP = 10
GROWING = ("start", "send", "thread", "inbox")
# The site writes the events of starts and sends a moment later: they are part of what these cost.
BACKGROUND_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU for each request in microseconds, of the server and of the database: one figure a round."""

    server: Sequence[float]
    database: Sequence[float]

    @property
    def medians(self) -> tuple[float, float]:
        return statistics.median(self.server), statistics.median(self.database)

    @property
    def both(self) -> float:
        return sum(self.medians)

    @property
    def sums(self) -> Sequence[float]:
        """Server and database together, of each round."""
        return [one + other for one, other in zip(self.server, self.database, strict=True)]

    def ratio_to(self, other: "Cost", *, server_only: bool = False) -> float:
        """Return the median of the rounds' ratios: a busy moment makes both figures of a round dearer, and not their ratio."""
        return median_ratio(self.server, other.server) if server_only else median_ratio(self.sums, other.sums)

    @property
    def spread(self) -> float:
        """The distance of the quartiles of server and database together, as a share of their median."""
        sums = self.sums
        if len(sums) < 4:
            return (max(sums) - min(sums)) / statistics.median(sums)
        low, middle, high = statistics.quantiles(sums, n=4)
        return (high - low) / middle


def median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios of two figures of the same round."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


Costs = Mapping[str, Mapping[str, Cost]]
MOST_TIMES = 3


def counted_rounds(rounds: int, *, seconds: float) -> Iterator[int]:
    """Yield the numbers of rounds: at least so many, and up to three times as many while these seconds are not over.

    Each more makes the medians surer, and a slow machine ends in time.
    """
    until = time.monotonic() + seconds
    for number in range(rounds * MOST_TIMES):
        if number >= rounds and time.monotonic() >= until:
            return
        yield number


@contextmanager
def all_serving(peers: Sequence[Peer], size: Size) -> Iterator[Sequence[Client]]:
    """Serve the peers for the block, each with a client."""
    with ExitStack() as stack:
        yield [Client(stack.enter_context(servers.running(peer, size.database)), size) for peer in peers]


def measure_peers(clients: Sequence[Client], *, rounds: int, requests: int, seconds: float) -> Costs:
    """Return the cost of each operation, by peer's name and operation."""
    figures: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    with ExitStack() as stack:
        meters = [Meter(client.server) for client in clients]
        for meter in meters:
            stack.callback(meter.close)
        for number in counted_rounds(rounds, seconds=seconds):
            seed.clear_writes(clients[0].size.database)
            for place, client in enumerate(clients):
                # Each has requests of its own to start about.
                client.turn = (place + number * len(clients)) * (WARM_UP + requests) * len(operations.NAMES)
            for operation in operations.NAMES:
                for client, meter in zip(clients, meters, strict=True):
                    if operation in _operations(client.server.peer):
                        cost = _measure_operation(client, meter, requests, operation)
                        of_peer = figures.setdefault(client.server.peer.name, {})
                        for found, figure in zip(of_peer.setdefault(operation, ([], [])), cost, strict=True):
                            found.append(figure)
    return {peer: {operation: Cost(*both) for operation, both in of_peer.items()} for peer, of_peer in figures.items()}


def _measure_operation(client: Client, meter: Meter, requests: int, operation: str) -> tuple[float, float]:
    background = BACKGROUND_SECONDS if meter.is_ours and operation in operations.WRITING else 0
    return measure(client, meter, requests, _running(client, operation), background=background)


def measure(
    client: Client, meter: Meter, requests: int, run: Callable[[], Any], *, background: float = 0
) -> tuple[float, float]:
    """Run something so many times, once warm; return the CPU of server and database for each time.

    What they do in the `background` for so many seconds afterwards counts too.
    """
    client.connection.close()  # while others had their turn, the server may have closed its side
    for _number in range(WARM_UP):
        run()
    before = meter.read()
    for _number in range(requests):
        run()
    time.sleep(background)
    after = meter.read()
    return (after[0] - before[0]) / requests, (after[1] - before[1]) / requests


def measure_growth(server: Server, size: Size, *, rounds: int, requests: int, seconds: float) -> Mapping[str, float]:
    """Return the inbox's database CPU of members of whom one thing differs, as ratios to their likes."""
    pairs = {
        f"{size.many:,} conversations against 20": ("many", "few"),
        f"a listed thread of {size.long_thread:,} messages against 50, read": ("long-read", "short-read"),
        f"a listed thread of {size.long_thread:,} messages against 50, unread": ("long", "short"),
    }
    people = sorted({person for pair in pairs.values() for person in pair})
    found: dict[str, list[float]] = {person: [] for person in people}
    client, meter = Client(server, size), Meter(server)
    for _number in counted_rounds(rounds, seconds=seconds):
        for person in people:
            found[person].append(measure(client, meter, requests, _asking(client, person))[1])
    meter.close()
    return {what: median_ratio(found[one], found[other]) for what, (one, other) in pairs.items()}


def measure_sizes(small: Size, large: Size, *, rounds: int, requests: int, seconds: float) -> Mapping[str, float]:
    """Return what each operation costs (server and database) on a large database, as ratios to a small one."""
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        clients = [
            Client(stack.enter_context(servers.running(servers.OURS, size.database)), size) for size in (small, large)
        ]
        meters = [Meter(client.server) for client in clients]
        for _number in counted_rounds(rounds, seconds=seconds):
            for client in clients:
                seed.clear_writes(client.size.database)
            for operation in GROWING:
                for client, meter in zip(clients, meters, strict=True):
                    cost = sum(_measure_operation(client, meter, requests, operation))
                    found.setdefault((client.size.database, operation), []).append(cost)
        for meter in meters:
            meter.close()
    against = f"{large.conversations * 10:,} messages against {small.conversations * 10:,}"
    return {
        f"{operation}: {against}": median_ratio(found[large.database, operation], found[small.database, operation])
        for operation in GROWING
    }


def _operations(peer: Peer) -> Sequence[str]:
    return operations.NAMES[:1] if peer.starts_only else operations.NAMES


def _running(client: Client, operation: str) -> Callable[[], None]:
    def run() -> None:
        status, _body = client.run(operation)
        expect(operation, status)

    return run


def _asking(client: Client, person: str) -> Callable[[], None]:
    def ask() -> None:
        expect("inbox", client.ask("GET", "/api/messaging/conversations", person)[0])

    return ask
