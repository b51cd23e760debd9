"""What the playbook asks before a promotion: ten items (checked or signed), and what people say of each stage (6.1)."""

from collections.abc import Mapping

from rollout.promotion import automated_checks, sign_offs
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, ChecklistItem, Item, SignOffFacts
from rollout.stages import ENABLED, HALF, INTERNAL, TENTH, Stage, standard_stage

ITEMS = (
    Item("schema", "V2's tables, constraints and indexes exist", automated_checks.registered("schema")),
    Item("policies", "Row-level security and its policies hold the site", automated_checks.check_policies),
    Item("backup", "A backup younger than 24 hours was restored to try it", automated_checks.check_backup),
    Item("unit_tests", "The tests pass, with at least 80% coverage", parts=("",)),
    Item("e2e_tests", "The end-to-end tests pass, in all scenarios", parts=("",)),
    Item("flag", "The flag is set up, and disabled before the first promotion", automated_checks.check_flag),
    Item("metrics", "Metrics are flowing", automated_checks.check_metrics),
    Item("alerts", "Alerts are judged by a guard and reach people", automated_checks.check_alert_rules),
    Item("rollback_plan", "The rollback plan is documented and understood", automated_checks.check_plan, ("",)),
    Item("stakeholders", "The stakeholders approve", parts=(ENGINEERING, PRODUCT)),
)

NO_CRITICAL_BUGS = "Nobody has reported a critical bug at this stage"


def _item(stage: Stage, name: str, title: str) -> Item:
    return Item(f"{stage}/{name}", title, parts=("",), stage=stage)


STAGE_ITEMS: Mapping[Stage, tuple[Item, ...]] = {
    INTERNAL: (
        _item(INTERNAL, "no_critical_bugs", NO_CRITICAL_BUGS),
        _item(INTERNAL, "team_approval", "The internal team approves"),
    ),
    TENTH: (_item(TENTH, "no_complaints", "No member complains of failures"),),
    HALF: (_item(HALF, "positive_feedback", "What members say of it is positive"),),
    ENABLED: (_item(ENABLED, "no_critical_bugs", NO_CRITICAL_BUGS),),
}
for _items in (ITEMS, *STAGE_ITEMS.values()):
    sign_offs.register(_items)


def judge_checklist(facts: SignOffFacts | None = None) -> tuple[ChecklistItem, ...]:
    """Judge the ten items as they are now."""
    return sign_offs.judge_items(ITEMS, facts=facts)


def judge_stage(stage: Stage, facts: SignOffFacts) -> tuple[ChecklistItem, ...]:
    """Judge what people say of the present stay, which is at `stage`. Nothing is asked at `disabled`."""
    return sign_offs.judge_items(STAGE_ITEMS.get(standard_stage(stage), ()), facts=facts)
