"""The control room on a terminal: the same tree as sentences, the most important first."""

from collections.abc import Iterator

from carecollective.core.text import one_line
from rollout.dashboard.schema import Figure, Status
from rollout.dashboard.view_models import value_of

SHOWN = 10


def sentences(status: Status) -> Iterator[str]:
    """Put a status into lines for a terminal."""
    yield f"Stage: {status.stage}"
    yield f"V1 writes: {'on' if status.v1_writes else 'off'}"
    yield f"Health: {status.health.value.replace('_', ' ')}. {status.words}"
    if status.unfinished:
        yield f"Rollback: {status.unfinished}"
    if status.overview.v1_since_rollback:
        yield f"V1: {status.overview.v1_since_rollback.words}"
    yield f"Guard: {status.guard.words}"
    yield f"Processes: {status.switch.words}"
    if status.skipped:
        yield f"Skipped on the way up: {', '.join(map(str, status.skipped))}"
    if status.drain:
        yield f"Drain: {status.drain.words}"
    yield from _section("Open alerts", (f"{alert.severity}: {alert.words}" for alert in status.alerts))
    yield from _section(
        "Gates of this stage", (f"{gate.state.value}: {gate.title}: {gate.words}" for gate in status.gates)
    )
    yield from _section(
        "What people say of this stage",
        (f"{item.state}: {item.title}. {item.words}" for item in status.stage_sign_offs),
    )
    if status.next_step:
        title = f"Before {status.next_step.stage}" + (", nothing but an approval" if status.next_step.ready else "")
        yield from _section(title, (blocker.words for blocker in status.next_step.blockers))
    if status.resume:
        yield status.resume.words
    yield from _section("Last 24 hours", (_figure(figure) for figure in status.figures.figures))
    yield from _section(
        "Checklist", (f"{item.number}. {item.state}: {item.title}. {item.words}" for item in status.checklist)
    )
    yield from _section(
        "Proposals", (f"{one.to_stage}, by {one.proposer}: {one_line(one.reason)}" for one in status.proposals)
    )
    yield from _section(
        "Root causes to file",
        (f"rollback from {one.from_stage}: {one_line(one.rollback_reason)}" for one in status.root_causes),
    )
    yield from _section(
        "What happened",
        (
            f"{event.at:%Y-%m-%d %H:%M:%S} UTC, {event.who or event.kind}: {event.title}"
            + (" [override]" if "override" in event.badges else "")
            + (f". {one_line(event.words)}" if event.words else "")
            for event in status.timeline[:SHOWN]
        ),
    )


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    listed = [f"  {line}" for line in lines]
    if listed:
        yield f"{title}:"
        yield from listed


def _figure(figure: Figure) -> str:
    target = f", should be {figure.target}" if figure.target else ""
    return f"{figure.title}: {value_of(figure)}{target}. {figure.words}"
