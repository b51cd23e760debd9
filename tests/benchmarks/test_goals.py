"""The verdicts of `make bench`, on made-up results: nothing is measured here."""

from typing import Any

import pytest

from benchmarks import goals
from benchmarks.measure import Cost
from benchmarks.operations import NAMES
from benchmarks.peers import floor
from benchmarks.servers import FLOOR, NINJA, OURS, PEERS, SQLALCHEMY, V1


def made_up(**changed: Any) -> tuple[dict[str, Any], dict[str, dict[str, Cost]]]:
    """Return results that meet every aim, but for what is changed."""
    results = {
        "round trips": {OURS.name: dict.fromkeys(NAMES, (2, 2))},
        "growth": {"many": 1.0, "read": 1.0, "unread": 1.0},
        "sizes": {f"{name}: large against small": 1.0 for name in ("start", "send", "thread", "inbox")},
        "memory": 1.0,
        "decisions": {"disabled": (1.0, 0), "enabled": (1.0, 0)},
    }
    dear = {name: Cost([1000.0], [1000.0]) for name in NAMES}
    costs = {peer.name: dear for peer in PEERS}
    costs[OURS.name] = {name: Cost([300.0], [300.0]) for name in NAMES}
    return results | changed, costs


def test_results_within_every_bound_meet_every_goal():
    judged = goals.judge(*made_up())
    assert [goal.figure for goal in judged if goal.verdict != "aim met"] == []
    assert goals.exit_status(judged) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"memory": 1.2},
        {"growth": {"many": 1.4, "read": 1.0, "unread": 1.0}},
        {"sizes": {"start: large against small": 1.3}},
        {"decisions": {"enabled": (11.0, 0)}},
        {"decisions": {"enabled": (1.0, 1)}},
        {"round trips": {OURS.name: {name: (12, 12 if name == "start" else 2) for name in NAMES}}},
    ],
)
def test_a_figure_out_of_bounds_is_not_met_and_ends_with_1(changed: dict[str, Any]) -> None:
    judged = goals.judge(*made_up(**changed))
    assert [goal.verdict for goal in judged if goal.verdict != "aim met"] == ["NOT MET"]
    assert goals.exit_status(judged) == 1


@pytest.mark.parametrize("peer", [FLOOR, SQLALCHEMY, NINJA, V1])
def test_a_peer_that_costs_far_less_is_a_goal_not_met(peer: Any) -> None:
    results, costs = made_up()
    costs[peer.name] = {name: Cost([50.0], [50.0]) for name in NAMES}
    missed = [goal for goal in goals.judge(results, costs) if not goal.is_met]
    assert missed
    assert goals.exit_status(missed) == 1


def test_between_must_and_aim_is_met_without_the_aim():
    judged = goals.judge(*made_up(memory=1.05))
    assert [goal.verdict for goal in judged if goal.verdict != "aim met"] == ["met"]
    assert goals.exit_status(judged) == 0


def test_the_floor_reads_by_the_sites_own_statements():
    assert "ORDER BY page.activity DESC" in floor.INBOX
