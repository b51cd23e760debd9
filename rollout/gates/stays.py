"""The rollout's stays at its stages: which were passed over, and which one a rollback left that can be resumed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carecollective.core.database import fetch_all
from rollout.models import Source
from rollout.stages import DISABLED, STAGES, Stage, order_key, standard_stage

# The longest window of an alert's rule: what led to a rollback is explained by its root cause, and counted no more.
SET_ASIDE = timedelta(minutes=15)
_LOOKED_AT = 20

_READ = """
SELECT c.from_stage, c.to_stage, c.at, lead(c.at) OVER (ORDER BY c.id), c.source, c.override,
    CASE WHEN c.recorded THEN (
        -- A flap from outside shares the form of its first rollback.
        SELECT cause.filed_at FROM public.rollout_root_cause AS cause
        WHERE cause.change_id <= c.id ORDER BY cause.change_id DESC LIMIT 1) END
FROM (
    SELECT id, from_stage, to_stage, at, source, override, true AS recorded FROM public.rollout_change
    UNION ALL
    -- A rollback that waits to be recorded is in force.
    SELECT 9223372036854775807, flag.stage, state.stage, state.waiting_since, 'admin', false, false
    FROM public.rollout_state AS state, public.rollout_flag AS flag
    WHERE flag.name = 'messaging_v2' AND state.waiting_since IS NOT NULL
) AS c
WHERE c.from_stage IS DISTINCT FROM c.to_stage ORDER BY c.id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One stay at a stage, from the change that began it to the one that ended it; None while it lasts.

    `left` is the stage before it. `approved` tells that the application began it, and overrode nothing. `explained_at` is
    when the root cause was filed, where a rollback began it.
    """

    stage: Stage | None
    began: datetime
    ended: datetime | None
    left: Stage | None = None
    approved: bool = True
    explained_at: datetime | None = None

    @property
    def is_rollback(self) -> bool:
        return self.stage == DISABLED and self.left not in (None, DISABLED)


@dataclass(frozen=True, slots=True)
class Resumption:
    """The stage that the last rollback left. `explained` once its root cause is filed: then two people may go back to it."""

    stage: Stage
    rolled_back_at: datetime
    explained: bool


def read_runs() -> tuple[Run, ...]:
    """List the rollout's latest stays, the present one first. A change of V1 writes alone begins none."""
    return tuple(
        Run(
            stage=Stage.parse(stage) if stage else None,
            began=began,
            ended=ended,
            left=Stage.parse(left) if left else None,
            approved=source != Source.OUTSIDE and not override,
            explained_at=explained_at,
        )
        for left, stage, began, ended, source, override, explained_at in fetch_all(_READ, [_LOOKED_AT])
    )


def find_resumption(runs: Sequence[Run]) -> Resumption | None:
    """Return what can be resumed: only straight from the rollback, or after a lower stage it is a new climb.

    A stage that an override or somebody outside had entered was never earned, and is not gone back to.
    """
    if len(runs) < 2 or not runs[0].is_rollback or runs[0].left is None or not runs[1].approved:
        return None
    return Resumption(runs[0].left, runs[0].began, runs[0].explained_at is not None)


def find_resumed(runs: Sequence[Run]) -> Run | None:
    """Return the stay that the present one goes on with; None where the present one was climbed to, or not approved."""
    if len(runs) < 3:
        return None
    now, back, before = runs[:3]
    if (
        not (now.approved and before.approved)
        or not back.is_rollback
        or now.stage != back.left
        or before.stage != now.stage
    ):
        return None
    return before if back.explained_at and back.explained_at <= now.began else None


def skipped_stages(runs: Sequence[Run]) -> tuple[Stage, ...]:
    """Return the stages below the present one in which the rollout did not stay on its way up."""
    if not runs or runs[0].stage is None:
        return ()
    seen = {standard_stage(run.stage) for run in _climb(runs) if run.stage}
    return tuple(
        rung for rung in STAGES[1:] if order_key(rung) < order_key(standard_stage(runs[0].stage)) and rung not in seen
    )


def _climb(runs: Sequence[Run]) -> Iterator[Run]:
    """Yield the stays since the rollout was last at disabled, and those of the climb that a resumed stage goes on with."""
    for place, run in enumerate(runs):
        if run.stage == DISABLED and find_resumed(runs[place - 1 :] if place else ()) is None:
            return
        yield run
