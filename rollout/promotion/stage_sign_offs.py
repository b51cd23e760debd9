"""What the playbook asks people of each stage (6.1), beside the figures: signed anew in each stay at a stage, when it is over."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

from rollout.gates.criteria import bake_days
from rollout.gates.results import Observation
from rollout.gates.stays import find_resumed, read_stays
from rollout.models import Flag
from rollout.promotion import sign_offs
from rollout.promotion.sign_offs import ChecklistItem, Item, Standing
from rollout.stages import ENABLED, INTERNAL, STAGES, Stage, standard_stage
from rollout.targeting.state import FLAG_NAME

NO_CRITICAL_BUGS = gettext_noop("Nobody has reported a critical bug at this stage")
_TENTH, _HALF = STAGES[2:4]


def _lasted_at(stage: Stage, since: datetime | None, *, is_resumed: bool) -> datetime | None:
    """Return when a stay will have lasted as long as is asked of it: only then is there something to say of it."""
    return since + timedelta(days=bake_days(stage, is_resumed=is_resumed)) if since else None


def _present_stay_lasted_at() -> datetime | None:
    stays = read_stays()
    if not stays or stays[0].stage is None:
        return None
    return _lasted_at(stays[0].stage, stays[0].began, is_resumed=find_resumed(stays) is not None)


def _present_rung() -> Stage:
    return standard_stage(Flag.objects.get(name=FLAG_NAME).current_stage())


def _item(stage: Stage, name: str, title: str) -> Item:
    return Item(
        f"{stage}/{name}",
        title,
        parts=("",),
        is_open=lambda: _present_rung() == stage,
        opens_at=_present_stay_lasted_at,
    )


ITEMS: Mapping[Stage, tuple[Item, ...]] = {
    INTERNAL: (
        _item(INTERNAL, "no_critical_bugs", NO_CRITICAL_BUGS),
        _item(INTERNAL, "team_approval", gettext_noop("The internal team approves")),
    ),
    _TENTH: (_item(_TENTH, "no_complaints", gettext_noop("No member complains of failures")),),
    _HALF: (_item(_HALF, "positive_feedback", gettext_noop("What members say of it is positive")),),
    ENABLED: (_item(ENABLED, "no_critical_bugs", NO_CRITICAL_BUGS),),
}
for _items_of_stage in ITEMS.values():
    sign_offs.register(_items_of_stage)


def judge_stage(stage: Stage, *, seen: Observation, standing: Standing) -> tuple[ChecklistItem, ...]:
    """Judge what people say of the present stay at `stage`. Nothing is asked of `disabled`."""
    lasted_at = _lasted_at(stage, seen.since, is_resumed=seen.resumed_from is not None)
    items = [
        replace(item, is_open=lambda: True, opens_at=lambda: lasted_at) for item in ITEMS.get(standard_stage(stage), ())
    ]
    return sign_offs.judge_items(tuple(items), standing=standing, since=seen.since)
