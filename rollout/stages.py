"""The stages of the rollout, their order and their spelling. Settings import it, so it imports no Django."""

import re
from dataclasses import dataclass
from enum import StrEnum

BUCKETS = 100_000
_PERCENTAGE = re.compile(r"percentage:(\d{1,3})(?:\.(\d))?", re.ASCII)


class StageKind(StrEnum):
    DISABLED = "disabled"
    INTERNAL = "internal"
    PERCENTAGE = "percentage"
    ENABLED = "enabled"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the rollout; `permille` counts in tenths of a percent and is 0 unless `kind` is PERCENTAGE."""

    kind: StageKind
    permille: int = 0

    @classmethod
    def parse(cls, text: str) -> "Stage":
        """Read `disabled`, `internal`, `percentage:N` (0.1 to 100 in steps of 0.1) or `enabled`.

        White space around it is ignored: a trailing line end in the environment once kept V2 off.
        Raises ValueError with a sentence that lists the accepted forms.
        """
        cleaned = text.strip()
        match = _PERCENTAGE.fullmatch(cleaned)
        if match:
            permille = int(match[1]) * 10 + int(match[2] or 0)
            if 1 <= permille <= 1000:
                return cls(StageKind.PERCENTAGE, permille)
        elif cleaned in (StageKind.DISABLED, StageKind.INTERNAL, StageKind.ENABLED):
            return cls(StageKind(cleaned))
        raise ValueError(
            f"{cleaned!r} is not a stage: use disabled, internal, percentage:N (0.1 to 100, one decimal) or enabled."
        )

    @property
    def threshold(self) -> int:
        """How many of the 100,000 buckets the percentage takes in."""
        return self.permille * (BUCKETS // 1000)

    @property
    def title(self) -> str:
        """Its name for people: 10% for percentage:10."""
        return f"{self.permille / 10:g}%" if self.permille else self.kind.capitalize()

    @property
    def members(self) -> str:
        """Who is in V2, in words."""
        return _MEMBERS[self.kind].format(title=self.title)

    def __str__(self) -> str:
        if self.kind is not StageKind.PERCENTAGE:
            return self.kind.value
        whole, tenth = divmod(self.permille, 10)
        return f"percentage:{whole}.{tenth}" if tenth else f"percentage:{whole}"


_MEMBERS = {
    StageKind.DISABLED: "Nobody",
    StageKind.INTERNAL: "Staff and testers",
    StageKind.PERCENTAGE: "Staff, testers and {title} of members",
    StageKind.ENABLED: "Everybody; V1 is frozen",
}
DISABLED = Stage(StageKind.DISABLED)
INTERNAL = Stage(StageKind.INTERNAL)
ENABLED = Stage(StageKind.ENABLED)
TENTH, HALF = Stage(StageKind.PERCENTAGE, 100), Stage(StageKind.PERCENTAGE, 500)
STAGES = (DISABLED, INTERNAL, TENTH, HALF, ENABLED)
_ORDER = tuple(StageKind)


def order_key(stage: Stage) -> tuple[int, int]:
    """Return the key that sorts stages; a higher stage never has fewer members."""
    return _ORDER.index(stage.kind), stage.permille


def skipped_stages(before: Stage, after: Stage) -> tuple[Stage, ...]:
    """Return the stages that a step up from `before` to `after` skips; none for a step down."""
    return tuple(each for each in STAGES if order_key(before) < order_key(each) < order_key(after))


def next_stage(stage: Stage) -> Stage | None:
    """Return the next of the five stages above `stage`; None at the top."""
    return next((each for each in STAGES if order_key(each) > order_key(stage)), None)


def standard_stage(stage: Stage) -> Stage:
    """Return the one of the five stages that a stage belongs to: the next lower one for a percentage between two."""
    return max((each for each in STAGES if order_key(each) <= order_key(stage)), key=order_key)
