"""The goals of performance, each a figure within two bounds: what it must be, and what it should be."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Costs
from benchmarks.operations import NAMES
from benchmarks.servers import FLOOR, NINJA, OURS, SQLALCHEMY, V1

Bounds = tuple[float, float]
ROUND_TRIPS: Mapping[str, Bounds] = {"start": (9, 6), "send": (8, 5), "poll": (4, 2), "inbox": (4, 2), "thread": (4, 2)}
# Operation: must and aim, as ratios of server CPU to the floor's, and of server and database together to SQLAlchemy's.
AGAINST_FLOOR = {"start": (3.0, 2.0), "send": (3.0, 2.0), "inbox": (2.0, 1.4), "thread": (2.0, 1.4)}
AGAINST_SQLALCHEMY = {
    "start": (1.0, 0.7),
    "send": (1.0, 0.7),
    "inbox": (0.6, 0.45),
    "thread": (0.8, 0.6),
    "poll": (0.7, 0.4),
}
AGAINST_NINJA = (0.6, 0.45)
AGAINST_V1 = (0.5, 0.35)
# Many conversations; a long thread that is read; one that is not.
GROWTH = ((1.3, 1.1), (1.2, 1.05), (1.3, 1.05))
SIZES = (1.2, 1.05)
# Of a worker: after many requests against after some, and while sixteen members sign in against before.
MEMORY, SIGN_INS = (1.1, 1.02), (1.5, 1.2)
PAGES = (2.0, 1.5)
# Of each hot statement: rows read for each that must be read, and large tables read from one end to the other.
PLANS: Mapping[str, Bounds] = {"rows read for each that is needed": (3.0, 1.6), "sequential scans": (0, 0)}
# At least so much: of pgbench's throughput with the same statements; of the floor's, where fifty helpers want one request.
THROUGHPUT, HOT = (0.15, 0.25), (1.0, 1.5)
P95_MILLISECONDS = (100.0, 50.0)
DECISION_MICROSECONDS = (10.0, 3.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table."""

    figure: str
    measured: float
    must: float
    aim: float
    is_least: bool = False  # the bounds are the least that it may be, not the most

    @property
    def is_met(self) -> bool:
        return self._is_within(self.must)

    @property
    def verdict(self) -> str:
        return "aim met" if self._is_within(self.aim) else "met" if self.is_met else "NOT MET"

    def _is_within(self, bound: float) -> bool:
        return self.measured >= bound if self.is_least else self.measured <= bound


def judge(results: Mapping[str, Any], costs: Costs) -> list[Goal]:
    """Return every goal with what was measured of it."""
    return [*_against_peers(costs), *_of_the_site(results), *_of_many_at_once(results)]


def exit_status(goals: Iterable[Goal]) -> int:
    """Return 1 where a goal is not met."""
    return 0 if all(goal.is_met for goal in goals) else 1


def _against_peers(costs: Costs) -> Iterator[Goal]:
    ours = costs[OURS.name]
    for operation, (must, aim) in AGAINST_FLOOR.items():
        ratio = ours[operation].ratio_to(costs[FLOOR.name][operation], server_only=True)
        yield Goal(f"{operation}: server CPU against the floor", ratio, must, aim)
    for operation, (must, aim) in AGAINST_SQLALCHEMY.items():
        ratio = ours[operation].ratio_to(costs[SQLALCHEMY.name][operation])
        yield Goal(f"{operation}: server and database against FastAPI + SQLAlchemy", ratio, must, aim)
    for operation in NAMES:
        ratio = ours[operation].ratio_to(costs[NINJA.name][operation])
        yield Goal(f"{operation}: server and database against django-ninja", ratio, *AGAINST_NINJA)
    ratio = ours["start"].ratio_to(costs[V1.name]["start"])
    yield Goal("start: server and database against the V1 flow", ratio, *AGAINST_V1)


def _of_the_site(results: Mapping[str, Any]) -> Iterator[Goal]:
    for operation, bounds in ROUND_TRIPS.items():
        yield Goal(f"{operation}: round trips", results["round trips"][OURS.name][operation][1], *bounds)
    for (what, ratio), bounds in zip(results["growth"].items(), GROWTH, strict=True):
        yield Goal(f"inbox, database CPU: {what}", ratio, *bounds)
    for what, ratio in results["sizes"].items():
        yield Goal(what, ratio, *SIZES)
    for what, bounds in PLANS.items():
        yield Goal(f"hot statements: {what}", results["plans"][what], *bounds)
    for page, ratio in results["pages"].items():
        yield Goal(f"page {page}: server CPU against the API call", ratio, *PAGES)
    for what, ratio in results["memory"].items():
        yield Goal(f"memory of a worker: {what}", ratio, *MEMORY)
    for stage, (microseconds, statements) in results["decisions"].items():
        yield Goal(f"flag decision at {stage}: p99 in microseconds", microseconds, *DECISION_MICROSECONDS)
        yield Goal(f"flag decision at {stage}: statements", statements, 0, 0)


def _of_many_at_once(results: Mapping[str, Any]) -> Iterator[Goal]:
    for what, found in results["load"].items():
        ratio = found["a second"] / found["a second by pgbench"]
        yield Goal(f"{what}: throughput against pgbench", ratio, *THROUGHPUT, is_least=True)
        yield Goal(f"{what}: answered", found["answered"], 1, 1, is_least=True)
        yield Goal(f"{what}: p95 in milliseconds", found["p95 in milliseconds"], *P95_MILLISECONDS)
    hot = results["hot"]
    ratio = hot[OURS.name] / hot[FLOOR.name]
    yield Goal("one request, 50 helpers: throughput against spread, beside the floor's", ratio, *HOT, is_least=True)
    yield Goal("memory of a worker: during 16 sign-ins at once against before", results["sign-ins"], *SIGN_INS)
