"""The rollout's stays at its stages, and which one can be resumed after a rollback."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from carecollective.core.database import fetch_all, fetch_one
from rollout.models import Source
from rollout.stages import DISABLED, STAGES, Stage, order_key, standard_stage

# The longest window of an alert rule: the root cause explains what led to the rollback, and gates leave it out.
SET_ASIDE = timedelta(minutes=15)
_LATEST = 20

_READ = """
SELECT c.from_stage, c.to_stage, c.at, lead(c.at) OVER (ORDER BY c.id), c.source, c.override,
    CASE WHEN c.recorded THEN (
        -- Rollbacks in quick succession share the first one's form.
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

# A rollback that is not recorded yet is in force; it will be the flag's next version.
_LAST_ROLLBACK = """
SELECT back.at, back.version FROM (
    SELECT at, flag_version FROM public.rollout_change WHERE to_stage = 'disabled' AND from_stage <> 'disabled'
    UNION ALL
    SELECT state.waiting_since, flag.version + 1 FROM public.rollout_state AS state, public.rollout_flag AS flag
    WHERE flag.name = 'messaging_v2' AND flag.stage <> state.stage
) AS back (at, version)
WHERE back.at <= clock_timestamp() - %s ORDER BY back.version DESC LIMIT 1
"""


class LastRollback(NamedTuple):
    """When V2 was last rolled back, and the flag's version since."""

    at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay at a stage. `began` and `ended` are the changes around it; `ended` is None while it lasts.

    `left` is the stage before it. `approved` means that the application began it, without an override. `explained_at` is
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
    """The stage that the last rollback left. Once its root cause is filed, `explained`, two people may resume it."""

    stage: Stage
    explained: bool


def read_stays() -> tuple[Stay, ...]:
    """List the latest stays, the present one first. A change of V1 writes alone begins none."""
    return tuple(
        Stay(
            stage=Stage.parse(stage) if stage else None,
            began=began,
            ended=ended,
            left=Stage.parse(left) if left else None,
            approved=source != Source.OUTSIDE and not override,
            explained_at=explained_at,
        )
        for left, stage, began, ended, source, override, explained_at in fetch_all(_READ, [_LATEST])
    )


def read_last_rollback(*, after: timedelta = timedelta(0)) -> LastRollback | None:
    """Return the last rollback that is at least `after` old, recorded or not; None without any."""
    row = fetch_one(_LAST_ROLLBACK, [after])
    return None if row is None else LastRollback(*row)


def find_resumption(stays: Sequence[Stay]) -> Resumption | None:
    """Return the stage that can be resumed: only straight after the rollback, and only if it had been approved."""
    if len(stays) < 2 or not stays[0].is_rollback or stays[0].left is None or not stays[1].approved:
        return None
    return Resumption(stays[0].left, stays[0].explained_at is not None)


def find_resumed(stays: Sequence[Stay]) -> Stay | None:
    """Return the stay that the present one resumes, or None."""
    if len(stays) < 3:
        return None
    now, back, before = stays[:3]
    if (
        not (now.approved and before.approved)
        or not back.is_rollback
        or now.stage != back.left
        or before.stage != now.stage
    ):
        return None
    return before if back.explained_at and back.explained_at <= now.began else None


def unvisited_stages(stays: Sequence[Stay]) -> tuple[Stage, ...]:
    """Return the lower stages that were skipped on the way up to the present one."""
    if not stays or stays[0].stage is None:
        return ()
    seen = {standard_stage(stay.stage) for stay in _climb(stays) if stay.stage}
    return tuple(
        stage
        for stage in STAGES[1:]
        if order_key(stage) < order_key(standard_stage(stays[0].stage)) and stage not in seen
    )


def _climb(stays: Sequence[Stay]) -> Iterator[Stay]:
    """Yield the stays since the rollout was last at disabled; a resumed stage adds those before its rollback."""
    for place, stay in enumerate(stays):
        if stay.stage == DISABLED and find_resumed(stays[place - 1 :] if place else ()) is None:
            return
        yield stay
