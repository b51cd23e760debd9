"""The status in the control room's words: titles, steps and tiles. The page draws them and decides nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from rollout import formatting
from rollout.dashboard.charts import Chart, draw_trend
from rollout.dashboard.schema import Figure, Health, Status, TimelineEntry
from rollout.models import Source
from rollout.stages import DISABLED, ENABLED, INTERNAL, STAGES, Stage, order_key

# The word and the icon of each state.
HEALTH = {
    Health.DISABLED: ("Off", "off"),
    Health.HEALTHY: ("Healthy", "pass"),
    Health.INSUFFICIENT: ("Not enough yet", "insufficient"),
    Health.FAILING: ("Failing", "fail"),
    Health.ROLLED_BACK: ("Rolled back", "off"),
    Health.GUARD_ABSENT: ("Unguarded", "fail"),
    Health.OVERRIDDEN: ("Held off", "off"),
    Health.UNKNOWN: ("Unknown", "unknown"),
}
BADGES = {
    "override": "Override",
    "outside": "Outside the application",
    "guard": "By the guard",
    "waiting": "Not recorded yet",
    "critical": "Critical",
    "warning": "Warning",
    "resolved": "Resolved",
}
# Small is good: a share of them is never worded as smaller than it is.
BAD_SHARES = frozenset({"error_rate", "v1_creations", "duplicates"})
LATEST = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the stepper. `state` is passed, skipped, current or ahead."""

    stage: Stage
    title: str
    who: str
    state: str
    is_next: bool

    @property
    def value(self) -> str:
        return str(self.stage)


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure with its value in words, and its chart where it has one."""

    figure: Figure
    value: str
    chart: Chart | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the timeline with its badges in words."""

    event: TimelineEntry
    title: str
    badges: tuple[tuple[str, str], ...]
    source: str

    @property
    def parts(self) -> tuple[str, ...]:
        """What an override passed over, one by one; empty for everything else, which people wrote."""
        is_list = self.event.kind == "proposal" and "override" in self.event.badges
        return tuple(self.event.words.splitlines()) if is_list else ()


def title_of(stage: Stage) -> str:
    """Name a stage as people do: 10% rather than percentage:10."""
    if stage.permille:
        return formatting.percent(stage.permille / 1000)
    return {DISABLED: "Disabled", INTERNAL: "Internal", ENABLED: "Enabled"}[stage]


def title_in(text: str) -> str:
    """Name a stage that a record spells."""
    return title_of(Stage.parse(text)) if text else ""


def who_is_in(stage: Stage) -> str:
    if stage.permille:
        return f"Staff, testers and {title_of(stage)} of members"
    return {DISABLED: "Nobody", INTERNAL: "Staff and testers", ENABLED: "Everybody; V1 is frozen"}[stage]


def steps_of(status: Status) -> tuple[Step, ...]:
    """Put the five stages in a row, with the present one in its place where it is none of them."""
    now, target = order_key(status.stage), status.next_step.stage if status.next_step else None
    relations = {-1: "passed", 0: "current", 1: "ahead"}
    return tuple(
        Step(
            stage=stage,
            title=title_of(stage),
            who=who_is_in(stage),
            state="skipped"
            if stage in status.skipped
            else relations[(order_key(stage) > now) - (order_key(stage) < now)],
            is_next=stage == target,
        )
        for stage in sorted({*STAGES, status.stage}, key=order_key)
    )


def tiles_of(status: Status) -> tuple[Tile, ...]:
    charts = draw_trend(status.figures.trend, stage=status.stage)
    return tuple(Tile(figure, value_of(figure), charts.get(figure.name)) for figure in status.figures.figures)


def value_of(figure: Figure) -> str:
    """Word a figure's value; a dash where nothing was counted, because 0 of 0 is neither good nor bad."""
    if figure.value is None:
        return "–"
    match figure.unit:
        case "percent":
            return formatting.percent(figure.value / 100, up=figure.name in BAD_SHARES)
        case "ms":
            return formatting.milliseconds(figure.value)
        case _:
            return f"{figure.value:,.0f}"


def lines_of(status: Status) -> tuple[Line, ...]:
    sources = dict(Source.choices)
    return tuple(
        Line(
            event,
            headline_of(event),
            tuple((badge, BADGES.get(badge, badge)) for badge in event.badges),
            sources.get(event.source, event.source) if event.kind == "change" else "",
        )
        for event in status.timeline
    )


def headline_of(event: TimelineEntry) -> str:
    """Name what happened, with stages as people name them: 10% → Disabled."""
    if event.kind == "change" and event.from_stage and event.to_stage and event.from_stage != event.to_stage:
        return f"{title_in(event.from_stage)} → {title_in(event.to_stage)}"
    return event.title.replace(event.to_stage, title_in(event.to_stage)) if event.to_stage else event.title


@dataclass(frozen=True, slots=True)
class InTheWay:
    """What stands in the way of a step: one thing in words, or several of one kind, each by its title."""

    kind: str
    words: str
    titles: tuple[str, ...] = ()


def blockers_of(status: Status) -> Iterator[InTheWay]:
    """Say what stands in the way, kind by kind; gates and checklist are named, because the page shows them whole."""
    if status.next_step is None:
        return
    kinds = [blocker.kind for blocker in status.next_step.blockers]
    for blocker in status.next_step.blockers:
        if blocker.kind not in ("gate", "checklist"):
            yield InTheWay(blocker.kind, blocker.words)
    if "gate" in kinds:
        yield _listed("gate", "gate", [gate.title for gate in status.gates if gate.blocks])
    if "checklist" in kinds:
        yield _listed("checklist", "checklist item", [item.title for item in status.checklist if not item.passed])


def checklist_comes_next(status: Status) -> bool:
    """Tell whether the checklist is what the reader needs now: it alone is in the way, and no rollback is unexplained."""
    blockers = status.next_step.blockers if status.next_step else ()
    return bool(blockers) and not status.root_causes and all(blocker.kind == "checklist" for blocker in blockers)


def _listed(kind: str, noun: str, titles: list[str]) -> InTheWay:
    return InTheWay(kind, formatting.count(len(titles), noun), tuple(titles))
