"""What the playbook asks people about each stage (6.1). It is signed at the end of every stay at a stage."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

from rollout.gates.criteria import bake_days
from rollout.gates.results import Observation
from rollout.gates.stays import find_resumed, read_stays
from rollout.models import Flag
from rollout.promotion import sign_offs
from rollout.promotion.sign_offs import ChecklistItem, Item, SignOffFacts
from rollout.stages import ENABLED, INTERNAL, STAGES, Stage, standard_stage
from rollout.targeting.state import FLAG_NAME

NO_CRITICAL_BUGS = gettext_noop("Nobody has reported a critical bug at this stage")
_TENTH, _HALF = STAGES[2:4]


def _ends_at(stage: Stage, since: datetime | None, *, is_resumed: bool) -> datetime | None:
    """Return when the stay has lasted as long as it must; only then can people sign."""
    return since + timedelta(days=bake_days(stage, is_resumed=is_resumed)) if since else None


def _current_stay_ends_at() -> datetime | None:
    stays = read_stays()
    if not stays or stays[0].stage is None:
        return None
    return _ends_at(stays[0].stage, stays[0].began, is_resumed=find_resumed(stays) is not None)


def _current_stage() -> Stage:
    return standard_stage(Flag.objects.get(name=FLAG_NAME).current_stage())


def _item(stage: Stage, name: str, title: str) -> Item:
    return Item(
        f"{stage}/{name}",
        title,
        parts=("",),
        is_open=lambda: _current_stage() == stage,
        opens_at=_current_stay_ends_at,
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


def judge_stage(stage: Stage, *, seen: Observation, facts: SignOffFacts) -> tuple[ChecklistItem, ...]:
    """Judge what people say of the current stay at `stage`. Nothing is asked at `disabled`."""
    ends_at = _ends_at(stage, seen.since, is_resumed=seen.resumed_from is not None)
    items = [
        replace(item, is_open=lambda: True, opens_at=lambda: ends_at) for item in ITEMS.get(standard_stage(stage), ())
    ]
    return sign_offs.judge_items(tuple(items), facts=facts, since=seen.since)
