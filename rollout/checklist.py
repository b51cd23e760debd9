"""The playbook's ten items before a promotion: a program judges what it can, and people sign for the rest."""

from django.utils.translation import gettext_noop

from rollout import evidence, sign_offs
from rollout.sign_offs import ENGINEERING, PRODUCT, Item, Standing, sign, withdraw
from rollout.status_tree import ChecklistItem

__all__ = ["ENGINEERING", "ITEMS", "PRODUCT", "Item", "judge_checklist", "sign", "withdraw"]

ITEMS = (
    Item("schema", gettext_noop("V2's tables, constraints and indexes exist"), evidence.find_schema),
    Item("policies", gettext_noop("Row-level security and its policies hold the site"), evidence.find_policies),
    Item("backup", gettext_noop("A backup younger than 24 hours was restored to try it"), evidence.find_backup),
    Item("unit_tests", gettext_noop("The tests pass, with at least 80% coverage"), parts=("",)),
    Item("e2e_tests", gettext_noop("The end-to-end tests pass, in all scenarios"), parts=("",)),
    Item("flag", gettext_noop("The flag is set up, and disabled before the first promotion"), evidence.find_flag),
    Item("metrics", gettext_noop("Metrics are flowing"), evidence.find_metrics),
    Item("alerts", gettext_noop("Alerts are judged by a guard and reach people"), evidence.find_alert_rules),
    Item("rollback_plan", gettext_noop("The rollback plan is documented and understood"), evidence.find_plan, ("",)),
    Item("stakeholders", gettext_noop("The stakeholders approve"), parts=(ENGINEERING, PRODUCT)),
)
sign_offs.register(ITEMS)


def judge_checklist(standing: Standing | None = None) -> tuple[ChecklistItem, ...]:
    """Judge the ten items as they stand now."""
    return sign_offs.judge_items(ITEMS, standing=standing)
