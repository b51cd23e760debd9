"""Check that all peers answer alike, measure them in turns, and write the results; end with 1 where a goal is not met."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import goals, measure, operations, pages, plans, report, round_trips, seed, servers, throughput, worker
from carecollective.postgres.embedded.server import ensure_running, release


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: the database, the smaller one that it is compared with, and how often."""

    size: seed.Size
    smaller: seed.Size
    # Of the peers in turns; and of the site alone. More rounds where these seconds are not over. How the processes lie on the
    # cores differs from turn to turn, so many rounds of short turns say more than few of long ones.
    rounds: int
    requests: int
    seconds: float
    own_rounds: int
    own_requests: int
    own_seconds: float
    load_rounds: int
    load_requests: int
    # The worker's memory after so many requests and after so many; fewer where they take longer than so many seconds.
    memory_requests: tuple[int, int]
    memory_seconds: float
    peers: Sequence[servers.Peer] = servers.PEERS


PLANS: Mapping[str, Plan] = {
    "tiny": Plan(seed.TINY, seed.SMALLEST, 2, 10, 0, 1, 5, 0, 1, 48, (60, 120), 30),
    "quick": Plan(seed.QUICK, seed.SMALL, 3, 30, 0, 2, 15, 0, 1, 160, (300, 1_500), 20, servers.JUDGED),
    "full": Plan(seed.FULL, seed.SMALL, 12, 40, 240, 10, 80, 60, 3, 1_008, (1_000, 100_000), 100),
}


HOT_ROUNDS = 15  # for each round of load: one takes a moment only
BEGUN = time.monotonic()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=list(PLANS), default="full")
    parser.add_argument("--check", action="store_true", help="only check that all peers answer alike")
    parser.add_argument("--write-docs", action="store_true", help="only write the last full results into the document")
    options = parser.parse_args()
    if options.write_docs:
        report.write_document()
        return 0
    plan = PLANS[options.size]
    ensure_running(seed.DATA_DIR)
    try:
        seed.ensure_memory()
        for size in (plan.smaller, plan.size):
            seed.ensure_seeded(size)
        with measure.all_serving(plan.peers, plan.size) as clients:
            check(clients)
            if options.check:
                return 0
            _say("Comparing the peers")
            costs = measure.measure_peers(clients, rounds=plan.rounds, requests=plan.requests, seconds=plan.seconds)
        return run(options.size, plan, costs)
    finally:
        release(seed.DATA_DIR)


def check(clients: Sequence[operations.Client]) -> None:
    """End with a sentence unless every peer answers each operation as the site does."""
    found = {}
    for client in clients:
        seed.clear_writes(client.size.database)
        found[client.server.peer.name] = operations.answers_of(client)
    operations.check_same(found)
    print(f"All {len(found)} peers answer alike.", flush=True)


def run(name: str, plan: Plan, costs: measure.Costs) -> int:
    """Measure the rest, print and write everything; return the exit status."""
    size = plan.size
    own: dict[str, Any] = {"rounds": plan.own_rounds, "requests": plan.own_requests, "seconds": plan.own_seconds}
    _say("Counting round trips")
    seed.run_python("manage.py", "collectstatic", "--no-input", "--verbosity", "0", database=size.database)
    results: dict[str, Any] = {"round trips": round_trips.count(size, plan.peers)}
    _say("Reading plans")
    results["plans"] = plans.measure_plans(size)
    _say("Measuring growth, pages and sizes")
    with servers.running(servers.OURS, size.database) as server:
        results["growth"] = measure.measure_growth(server, size, **own)
        results["pages"] = pages.measure_pages(server, size, **own)
    results["sizes"] = measure.measure_sizes(plan.smaller, size, **own)
    _say("Measuring many clients at once")
    results["load"] = throughput.measure_load(size, rounds=plan.load_rounds, requests=plan.load_requests)
    results["hot"] = throughput.measure_hot(size, rounds=HOT_ROUNDS * plan.load_rounds)
    _say("Measuring memory")
    with servers.running(servers.OURS, size.database) as server:
        results["memory"] = worker.measure_memory(server, size, *plan.memory_requests, seconds=plan.memory_seconds)
        results["sign-ins"] = worker.measure_sign_ins(server, size, rounds=plan.load_rounds)
    _say("Timing decisions")
    results["decisions"] = worker.measure_decision(size)
    _say("Done")
    judged = goals.judge(results, costs)
    print(f"\n{report.tables(costs, results, judged)}")
    report.write(name, costs, results, judged)
    return goals.exit_status(judged)


def _say(what: str) -> None:
    print(f"{time.monotonic() - BEGUN:4.0f} s: {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
