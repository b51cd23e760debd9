"""Check that all peers answer alike, measure them in turns, and write the results; end with 1 where a goal is not met."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import goals, measure, operations, report, round_trips, seed, servers, worker
from carecollective.postgres.embedded.server import ensure_running, release


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: the database, the smaller one that it is compared with, and how often."""

    size: seed.Size
    smaller: seed.Size
    rounds: int
    requests: int
    memory_requests: tuple[int, int]


SMALL = seed.Size(1_000)
PLANS: Mapping[str, Plan] = {
    "tiny": Plan(seed.TINY, seed.TINY, rounds=2, requests=10, memory_requests=(30, 60)),
    "quick": Plan(seed.QUICK, SMALL, rounds=5, requests=60, memory_requests=(300, 1_000)),
    "full": Plan(seed.FULL, SMALL, rounds=9, requests=150, memory_requests=(1_000, 20_000)),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=list(PLANS), default="full")
    parser.add_argument("--check", action="store_true", help="only check that all peers answer alike")
    options = parser.parse_args()
    plan = PLANS[options.size]
    ensure_running(seed.DATA_DIR)
    try:
        for size in (plan.smaller, plan.size):
            seed.ensure_seeded(size)
        check(plan.size)
        return 0 if options.check else run(options.size, plan)
    finally:
        release(seed.DATA_DIR)


def check(size: seed.Size) -> None:
    """End with a sentence unless every peer answers each operation as the site does."""
    found = {}
    for peer in servers.PEERS:
        seed.clear_writes(size.database)
        with servers.running(peer, size.database) as server:
            found[peer.name] = operations.answers_of(operations.Client(server, size))
    operations.check_same(found)
    print(f"All {len(found)} peers answer alike.", flush=True)


def run(name: str, plan: Plan) -> int:
    """Measure everything, print and write it; return the exit status."""
    costs = measure.measure_peers(plan.size, rounds=plan.rounds, requests=plan.requests)
    early, late = plan.memory_requests
    results: dict[str, Any] = {
        "round trips": round_trips.count(plan.size),
        "growth": measure.measure_growth(plan.size, rounds=plan.rounds, requests=plan.requests),
        "sizes": measure.measure_sizes(plan.smaller, plan.size, rounds=plan.rounds, requests=plan.requests),
        "memory": worker.measure_memory(plan.size, early=early, late=late),
        "decisions": worker.measure_decision(plan.size),
    }
    judged = goals.judge(results, costs)
    print("\nCPU for each request, server + database, microseconds; medians and spread of the rounds.\n")
    print(report.table(costs))
    print("\nRound trips / statements:\n")
    print(report.counts_table(results["round trips"]))
    print(f"\n{report.goals_table(judged)}")
    report.write(name, costs, results, judged)
    return goals.exit_status(judged)


if __name__ == "__main__":
    sys.exit(main())
