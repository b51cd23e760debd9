"""What the playbook asks people of each stage (6.1), beside the figures: signed anew in each stay at a stage."""

from collections.abc import Mapping
from datetime import datetime

from django.utils.translation import gettext_noop

from rollout import sign_offs
from rollout.ladder import LADDER, rung_of
from rollout.models import Flag
from rollout.sign_offs import Item, Standing
from rollout.stages import ENABLED, INTERNAL, Stage
from rollout.state import FLAG_NAME
from rollout.status_tree import ChecklistItem

NO_CRITICAL_BUGS = gettext_noop("Nobody has reported a critical bug at this stage")
_TENTH, _HALF = LADDER[2:4]


def _item(stage: Stage, name: str, title: str) -> Item:
    return Item(f"{stage}/{name}", title, parts=("",), is_open=lambda: _present_rung() == stage)


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


def judge_stage(stage: Stage, *, since: datetime | None, standing: Standing) -> tuple[ChecklistItem, ...]:
    """Judge what people say of the stay at `stage` that began at `since`. Nothing is asked of `disabled`."""
    return sign_offs.judge_items(ITEMS.get(rung_of(stage), ()), standing=standing, since=since)


def _present_rung() -> Stage:
    return rung_of(Flag.objects.get(name=FLAG_NAME).current_stage())
