"""The five stages in their order, and what a step up leaves out."""

from rollout.stages import DISABLED, ENABLED, INTERNAL, Stage, StageKind

LADDER = (DISABLED, INTERNAL, Stage(StageKind.PERCENTAGE, 100), Stage(StageKind.PERCENTAGE, 500), ENABLED)
_ORDER = (StageKind.DISABLED, StageKind.INTERNAL, StageKind.PERCENTAGE, StageKind.ENABLED)


def height(stage: Stage) -> tuple[int, int]:
    """Order stages: a higher one never has fewer members."""
    return _ORDER.index(stage.kind), stage.permille


def skipped_between(before: Stage, after: Stage) -> tuple[Stage, ...]:
    """Return the rungs that a step from `before` up to `after` leaves out; none for a step down."""
    return tuple(rung for rung in LADDER if height(before) < height(rung) < height(after))


def next_rung(stage: Stage) -> Stage | None:
    """Return the next stage of the ladder above `stage`; None at the top."""
    return next((rung for rung in LADDER if height(rung) > height(stage)), None)


def rung_of(stage: Stage) -> Stage:
    """Return the stage of the ladder that a percentage between two of them answers to: the lower one."""
    return max((rung for rung in LADDER if height(rung) <= height(stage)), key=height)
