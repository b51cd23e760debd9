"""The verdicts of `make bench`, on made-up results: nothing is measured here."""

from typing import Any

import pytest

from benchmarks import goals, report
from benchmarks.measure import Cost, counted_rounds
from benchmarks.operations import NAMES
from benchmarks.peers import site_statements
from benchmarks.servers import FLOOR, NINJA, OURS, PEERS, SQLALCHEMY, V1
from carecollective.accounts import authentication
from rollout.promotion import drain

# What each line of the table of goals measures, by words of its figures.
LINES = {
    "start: server CPU against the floor": 1,
    "send: server CPU against the floor": 1,
    "inbox: server CPU against the floor": 1,
    "thread: server CPU against the floor": 1,
    "against FastAPI + SQLAlchemy": 5,
    "against django-ninja": 5,
    "start: server and database against the V1 flow": 1,
    "round trips": 5,
    "throughput against pgbench": 2,
    "one request, 50 helpers": 1,
    "inbox, database CPU": 3,
    "large against small": 4,
    "hot statements": 2,
    "flag decision at": 4,
    "page": 4,
    "answered": 2,
    "p95 in milliseconds": 2,
    "memory of a worker": 2,
}


def load(**changed: float) -> dict[str, float]:
    return {"answered": 1.0, "p95 in milliseconds": 40.0, "a second": 30.0, "a second by pgbench": 100.0} | changed


def made_up(**changed: Any) -> tuple[dict[str, Any], dict[str, dict[str, Cost]]]:
    """Return results that meet every aim, but for what is changed."""
    results = {
        "round trips": {OURS.name: dict.fromkeys(NAMES, (2, 2))},
        "growth": {"many": 1.0, "read": 1.0, "unread": 1.0},
        "sizes": {f"{name}: large against small": 1.0 for name in ("start", "send", "thread", "inbox")},
        "plans": {"rows read for each that is needed": 1.5, "sequential scans": 0},
        "pages": dict.fromkeys(("inbox", "thread", "requests", "request"), 1.2),
        "load": {name: load() for name in ("start", "send")},
        "hot": {OURS.name: 0.6, FLOOR.name: 0.3},
        "sign-ins": 1.1,
        "memory": {"many requests against some": 1.0},
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
        {"memory": {"many requests against some": 1.2}},
        {"sign-ins": 1.6},
        {"pages": {"inbox": 2.1}},
        {"load": {"start": load(**{"a second": 14.0})}},
        {"load": {"start": load(answered=0.999)}},
        {"load": {"start": load(**{"p95 in milliseconds": 101.0})}},
        {"hot": {OURS.name: 0.29, FLOOR.name: 0.3}},
        {"growth": {"many": 1.4, "read": 1.0, "unread": 1.0}},
        {"sizes": {"start: large against small": 1.3}},
        {"plans": {"rows read for each that is needed": 3.1, "sequential scans": 0}},
        {"plans": {"rows read for each that is needed": 1.0, "sequential scans": 1}},
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
    judged = goals.judge(*made_up(memory={"many requests against some": 1.05}))
    assert [goal.verdict for goal in judged if goal.verdict != "aim met"] == ["met"]
    assert goals.exit_status(judged) == 0


def test_the_floor_asks_what_the_site_asks():
    copies = {
        site_statements.FIND_TOKEN: authentication._FIND,
        site_statements.ENTER: drain._ENTER,
    }
    assert list(copies) == [str(own) for own in copies.values()]


def test_each_line_of_the_table_of_goals_is_judged():
    figures = [goal.figure for goal in goals.judge(*made_up())]
    assert {words: sum(words in figure for figure in figures) for words in LINES} == LINES
    assert len(figures) == sum(LINES.values())


def test_the_document_is_written_from_the_results(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    results, costs = made_up()
    report.write("made-up", costs, results, goals.judge(results, costs))
    document = tmp_path / "performance.md"
    document.write_text(f"Before.\n{report.BEGIN}\nold\n{report.END}\nAfter.\n")
    report.write_document(tmp_path / "made-up.json", document)
    written = document.read_text()
    assert written.startswith("Before.\n")
    assert written.endswith("After.\n")
    assert "old" not in written
    assert "| send: server CPU against the floor | 0.30 | ≤ 3 | ≤ 2 | aim met |" in written


def test_a_ratio_is_of_figures_of_the_same_round():
    # In the second round the machine was busy, in the third while one of them had its turn.
    ours, peer = Cost([1.0, 3.0, 4.0], [1.0, 3.0, 4.0]), Cost([2.0, 6.0, 2.0], [3.0, 9.0, 3.0])
    assert ours.ratio_to(peer) == pytest.approx(0.4)
    assert ours.ratio_to(peer, server_only=True) == pytest.approx(0.5)


def test_rounds_go_on_while_there_is_time_and_never_are_too_few():
    assert list(counted_rounds(3, seconds=0)) == [0, 1, 2]
    assert list(counted_rounds(3, seconds=60)) == list(range(9))
