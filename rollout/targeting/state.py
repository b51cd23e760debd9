"""The rollout's state as a process reads it."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from rollout.stages import DISABLED, Stage

FLAG_NAME = "messaging_v2"


@dataclass(frozen=True, slots=True)
class RolloutState:
    """The rollout's row as it was last read. `fresh` is False once that is too long ago to rely on.

    `guarded`: a guard watched in the last minute. `installed`: V2's tables exist. `testers`: the members of "Internal testers".
    """

    stage: Stage
    v1_writes: bool
    salt: str
    version: int
    fresh: bool
    guarded: bool = True
    installed: bool = True
    testers: frozenset[UUID] = frozenset()

    @property
    def holds_v2_off(self) -> bool:
        """Tell whether V2 is off at any stage: no guard watches, or its tables are missing."""
        return not (self.guarded and self.installed)


# When the row cannot be read, or does not exist: as before the rollout.
UNKNOWN = RolloutState(stage=DISABLED, v1_writes=True, salt="", version=0, fresh=False)
MISSING = RolloutState(stage=DISABLED, v1_writes=True, salt="", version=0, fresh=True)


def environment_disables() -> bool:
    """Tell whether MESSAGING_V2_ROLLOUT=disabled overrides the database."""
    return settings.MESSAGING_V2_ROLLOUT == DISABLED
