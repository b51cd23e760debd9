"""The numbers of the page's SVG charts: paths and points in the drawing's units, and the table behind each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carecollective.formats.moments import moment
from rollout import formatting
from rollout.dashboard.schema import TrendPoint
from rollout.gates.criteria import latency_limit, success_limit
from rollout.stages import Stage

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 12, 26
NO_VALUE = "–"


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of the line, or a place for a label. `at` is its hour, where the label names one in UTC."""

    x: float
    y: float
    label: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table behind a chart."""

    at: datetime
    value: str
    counted: int


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure over the last 24 hours. `lines` and `areas` are SVG paths; hours in which nothing was counted are gaps."""

    counted: str
    summary: str
    lines: tuple[str, ...]
    areas: tuple[str, ...]
    marks: tuple[Mark, ...]
    across: tuple[Mark, ...]
    along: tuple[Mark, ...]
    target: Mark | None
    rows: tuple[Row, ...]

    @property
    def is_empty(self) -> bool:
        return not self.marks


@dataclass(frozen=True, slots=True)
class Series:
    """What a chart is made from: the fields of a point that hold its value and its number of operations."""

    title: str
    value: str
    operations: str
    counted: str
    unit: str = "%"


# By the names of their figures.
SERIES = {
    "creation_success": Series("Creation success in V2", "success_percent", "starts", "Starts"),
    "send_p95": Series("Send latency in V2 (p95)", "send_p95_ms", "operations", "Operations", unit="ms"),
    "adoption": Series("V2 adoption", "v2_percent", "starts", "Starts in V2"),
}


def draw_trend(trend: Sequence[TrendPoint], *, stage: Stage) -> dict[str, Chart]:
    """Make the three charts of the last 24 hours, by the names of their figures, with the stage's targets."""
    targets = {"creation_success": success_limit(stage) * 100, "send_p95": latency_limit(stage)}
    return {name: _draw(series, trend, targets.get(name)) for name, series in SERIES.items()}


def _draw(series: Series, trend: Sequence[TrendPoint], target: float | None) -> Chart:
    """Make the chart of a series, from the oldest hour at the left to the current one at the right."""
    values: list[float | None] = [getattr(point, series.value) for point in trend]
    low, high = _scale(series, target, [value for value in values if value is not None])
    step = (WIDTH - LEFT - RIGHT) / max(len(trend) - 1, 1)

    def height_of(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low)), 1)

    runs: list[list[Mark]] = [[]]
    for number, (point, value) in enumerate(zip(trend, values, strict=True)):
        if value is None:
            runs.append([])
            continue
        label = f"{point.at:%H:%M} UTC: {_worded(value, series.unit)}"
        runs[-1].append(Mark(round(LEFT + step * number, 1), height_of(value), label, point.at))
    runs = [run for run in runs if run]
    return Chart(
        counted=series.counted,
        summary=_summary(series, trend, values),
        lines=tuple(_line(run) for run in runs),
        areas=tuple(_area(run) for run in runs if len(run) > 1),
        marks=tuple(mark for run in runs for mark in run),
        across=tuple(
            Mark(round(LEFT + step * number, 1), HEIGHT - 8, f"{trend[number].at:%H:%M}", trend[number].at)
            for number in ((0, len(trend) // 2, len(trend) - 1) if len(trend) > 2 else ())
        ),
        along=tuple(Mark(LEFT - 6, height_of(value), _worded(value, series.unit)) for value in (low, high)),
        target=None if target is None else Mark(LEFT, height_of(target), _worded(target, series.unit)),
        rows=tuple(
            Row(
                point.at,
                NO_VALUE if value is None else _worded(value, series.unit),
                counted=getattr(point, series.operations),
            )
            for point, value in zip(reversed(trend), reversed(values), strict=True)
        ),
    )


def _scale(series: Series, target: float | None, values: Sequence[float]) -> tuple[float, float]:
    """Return the scale's bottom and top. Shares end at 100% and begin at 0%, or at 80% if all are higher."""
    if series.unit != "%":
        return 0, max([*values, target or 0]) * 1.2 or 1
    lowest = min(values, default=0)
    return (80 if target is not None and lowest >= 80 else 0), 100


def _line(run: Sequence[Mark]) -> str:
    return "M" + "L".join(f"{mark.x} {mark.y}" for mark in run)


def _area(run: Sequence[Mark]) -> str:
    ground = HEIGHT - BOTTOM
    return f"{_line(run)}L{run[-1].x} {ground}L{run[0].x} {ground}Z"


def _summary(series: Series, trend: Sequence[TrendPoint], values: Sequence[float | None]) -> str:
    known = [(point, value) for point, value in zip(trend, values, strict=True) if value is not None]
    if not known:
        return "Nothing was counted in the last 24 hours."
    numbers = [value for _, value in known]
    last, latest = known[-1]
    return (
        f"{series.title}, hour by hour: between {_worded(min(numbers), series.unit)} and "
        f"{_worded(max(numbers), series.unit)} in the last 24 hours; {_worded(latest, series.unit)} in the hour from "
        f"{moment(last.at)}."
    )


def _worded(value: float, unit: str) -> str:
    return formatting.percent(value / 100) if unit == "%" else formatting.milliseconds(value)
