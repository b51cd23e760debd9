"""What the control room shows of the status: titles, steps, tiles and lines."""

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
# Small is good for these, so their share is rounded up.
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
        """The checks that an override skipped, one by one; empty for everything else."""
        is_list = self.event.kind == "proposal" and "override" in self.event.badges
        return tuple(self.event.words.splitlines()) if is_list else ()


def title_of(stage: Stage) -> str:
    """Name a stage as people do: 10% rather than percentage:10."""
    if stage.permille:
        return formatting.percent(stage.permille / 1000)
    return {DISABLED: "Disabled", INTERNAL: "Internal", ENABLED: "Enabled"}[stage]


def title_in(text: str) -> str:
    """Name the stage that is spelled in a record, or nothing."""
    return title_of(Stage.parse(text)) if text else ""


def who_is_in(stage: Stage) -> str:
    if stage.permille:
        return f"Staff, testers and {title_of(stage)} of members"
    return {DISABLED: "Nobody", INTERNAL: "Staff and testers", ENABLED: "Everybody; V1 is frozen"}[stage]


def steps_of(status: Status) -> tuple[Step, ...]:
    """List the five stages in order, and the current one among them where it is between two."""
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
    """Format a figure's value; a dash where nothing was counted."""
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
class BlockerGroup:
    """What is in the way of a step: one blocker in words, or several of one kind by their titles."""

    kind: str
    words: str
    titles: tuple[str, ...] = ()


def blockers_of(status: Status) -> Iterator[BlockerGroup]:
    """Group the blockers by kind. Gates and checklist items are only named: the page shows them elsewhere."""
    if status.next_step is None:
        return
    kinds = [blocker.kind for blocker in status.next_step.blockers]
    for blocker in status.next_step.blockers:
        if blocker.kind not in ("gate", "checklist"):
            yield BlockerGroup(blocker.kind, blocker.words)
    if "gate" in kinds:
        yield _group("gate", "gate", [gate.title for gate in status.gates if gate.blocks])
    if "checklist" in kinds:
        yield _group("checklist", "checklist item", [item.title for item in status.checklist if not item.passed])


def checklist_comes_next(status: Status) -> bool:
    """Whether only the checklist is in the way, and no root cause is to be filed."""
    blockers = status.next_step.blockers if status.next_step else ()
    return bool(blockers) and not status.root_causes and all(blocker.kind == "checklist" for blocker in blockers)


def _group(kind: str, noun: str, titles: list[str]) -> BlockerGroup:
    return BlockerGroup(kind, formatting.count(len(titles), noun), tuple(titles))
