"""What a test measured, shown after the run: `figure("back within", 2.31, "s")`, also where several workers ran it."""

from collections.abc import Callable
from typing import Any

import pytest

KEY = "figure"
Figure = Callable[..., None]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Keep a figure of this test's, for the table at the end of the run."""

    def keep(name: str, value: Any, unit: str = "") -> None:
        shown = f"{value:.2f}" if isinstance(value, float) else str(value)
        request.node.user_properties.append((KEY, f"{name}: {shown}{' ' if unit else ''}{unit}"))

    return keep


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if getattr(report, "when", "") == "call"
    ]
    measured = {
        report.nodeid.rpartition("::")[2].partition("@")[0]: [
            text for key, text in report.user_properties if key == KEY
        ]
        for report in sorted(reports, key=lambda report: report.nodeid)
    }
    measured = {name: texts for name, texts in measured.items() if texts}
    if measured:
        terminalreporter.section("figures")
    for name, texts in measured.items():
        terminalreporter.line(name)
        for text in texts:
            terminalreporter.line(f"    {text}")
