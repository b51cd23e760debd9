"""Writes the results: a table for the terminal and for docs/performance.md, JSON, and a chart."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import cpu
from benchmarks.goals import Goal, judge
from benchmarks.measure import Cost, Costs
from benchmarks.operations import NAMES
from benchmarks.seed import PROJECT

RESULTS = PROJECT / "benchmarks/results"
FULL = RESULTS / "full.json"
DOCUMENT, CHART = PROJECT / "docs/performance.md", "../benchmarks/results/full.svg"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SERVER, DATABASE = "#2f6f8f", "#c98a2b"


def table(costs: Costs) -> str:
    """Return server + database CPU for each request, in microseconds, with the spread of both together."""
    lines = ["| | " + " | ".join(costs) + " |", "|---" * (len(costs) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(_cell(costs[peer], name) for peer in costs) + " |" for name in NAMES]
    return "\n".join(lines)


def goals_table(goals: Sequence[Goal]) -> str:
    lines = ["| figure | measured | must | aim | |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.figure} | {one.measured:.2f} | {_bound(one, one.must)} | {_bound(one, one.aim)} | {one.verdict} |"
        for one in goals
    ]
    return "\n".join(lines)


def counts_table(counts: Mapping[str, Mapping[str, tuple[int, int]]]) -> str:
    """Return round trips and statements for each operation."""
    lines = ["| | " + " | ".join(counts) + " |", "|---" * (len(counts) + 1) + "|"]
    for name in NAMES:
        cells = [f"{found[name][1]} / {found[name][0]}" if name in found else "" for found in counts.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables(costs: Costs, results: Mapping[str, Any], goals: Sequence[Goal]) -> str:
    """Return everything that was measured."""
    loads = [
        f"- {what}: {found['a second']:.0f} a second, pgbench {found['a second by pgbench']:.0f}"
        for what, found in results["load"].items()
    ]
    hot = ", ".join(f"{peer} {share:.2f}" for peer, share in results["hot"].items())
    return "\n\n".join(
        [
            "CPU for each request, server + database, in microseconds; the median of the rounds, and their spread.",
            table(costs),
            "Round trips / statements of each request.",
            counts_table(results["round trips"]),
            "\n".join([*loads, f"- one request, 50 helpers: throughput against spread: {hot}"]),
            goals_table(goals),
        ]
    )


def write(size_name: str, costs: Costs, results: Mapping[str, Any], goals: Sequence[Goal]) -> None:
    """Write JSON and chart, and for the full size the measured part of the document."""
    RESULTS.mkdir(exist_ok=True)
    said = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "cpu": cpu.SOURCE,
        "costs": {
            peer: {name: {"server": list(cost.server), "database": list(cost.database)} for name, cost in found.items()}
            for peer, found in costs.items()
        },
        "results": results,
        "goals": [{**asdict(one), "verdict": one.verdict} for one in goals],
    }
    (RESULTS / f"{size_name}.json").write_text(json.dumps(said, indent=1) + "\n")
    (RESULTS / f"{size_name}.svg").write_text(chart(costs))
    if size_name == "full":
        write_document()


def write_document(results: Path = FULL, document: Path = DOCUMENT) -> None:
    """Write the last full results into the document, judged by the goals of today."""
    if not results.exists():
        raise SystemExit("There are no full results yet: run make bench.")
    said = json.loads(results.read_text())
    costs = {
        peer: {name: Cost(cost["server"], cost["database"]) for name, cost in found.items()}
        for peer, found in said["costs"].items()
    }
    measured = (
        f"Measured {said['at']} on {said['machine']}; CPU from `{said['cpu']}`.\n\n![CPU for each request]({CHART})\n\n"
    )
    measured += tables(costs, said["results"], judge(said["results"], costs))
    before, rest = document.read_text().split(BEGIN)
    document.write_text(f"{before}{BEGIN}\n{measured}\n{END}{rest.split(END)[1]}")


def chart(costs: Costs) -> str:
    """Return bars of server and database CPU for each operation and peer."""
    longest = max(cost.both for found in costs.values() for cost in found.values())
    bars, top = [], 30
    for name in NAMES:
        bars.append(f'<text x="10" y="{top + 12}" font-weight="bold">{name}</text>')
        for peer in (peer for peer in costs if name in costs[peer]):
            top += 18
            server, database = (figure / longest * 520 for figure in costs[peer][name].medians)
            bars += [
                f'<text x="190" y="{top + 12}" text-anchor="end">{peer}</text>',
                f'<rect x="200" y="{top}" width="{server:.1f}" height="14" fill="{SERVER}"/>',
                f'<rect x="{200 + server:.1f}" y="{top}" width="{database:.1f}" height="14" fill="{DATABASE}"/>',
                f'<text x="{206 + server + database:.1f}" y="{top + 12}">{costs[peer][name].both:.0f}</text>',
            ]
        top += 32
    title = "CPU for each request in microseconds: server (blue) and database (orange)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{top}" font-family="sans-serif" font-size="12" role="img">'
        f"<title>{title}</title>"
        f'<rect width="100%" height="100%" fill="white"/><text x="10" y="18">{title}</text>{"".join(bars)}</svg>\n'
    )


def _cell(found: Mapping[str, Any], name: str) -> str:
    if name not in found:
        return ""
    server, database = found[name].medians
    return f"{server:.0f}+{database:.0f} ±{found[name].spread:.0%}"


def _bound(goal: Goal, bound: float) -> str:
    return f"{'≥' if goal.is_least else '≤'} {bound:g}"
