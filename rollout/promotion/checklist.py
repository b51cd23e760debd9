"""The playbook's ten items before a promotion, checked by a program or signed by people."""

from django.utils.translation import gettext_noop

from rollout.promotion import automated_checks, sign_offs
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, ChecklistItem, Item, SignOffFacts

ITEMS = (
    Item(
        "schema",
        gettext_noop("V2's tables, constraints and indexes exist"),
        automated_checks.registered("schema"),
    ),
    Item(
        "policies", gettext_noop("Row-level security and its policies hold the site"), automated_checks.check_policies
    ),
    Item(
        "backup", gettext_noop("A backup younger than 24 hours was restored to try it"), automated_checks.check_backup
    ),
    Item("unit_tests", gettext_noop("The tests pass, with at least 80% coverage"), parts=("",)),
    Item("e2e_tests", gettext_noop("The end-to-end tests pass, in all scenarios"), parts=("",)),
    Item(
        "flag", gettext_noop("The flag is set up, and disabled before the first promotion"), automated_checks.check_flag
    ),
    Item("metrics", gettext_noop("Metrics are flowing"), automated_checks.check_metrics),
    Item("alerts", gettext_noop("Alerts are judged by a guard and reach people"), automated_checks.check_alert_rules),
    Item(
        "rollback_plan",
        gettext_noop("The rollback plan is documented and understood"),
        automated_checks.check_plan,
        ("",),
    ),
    Item("stakeholders", gettext_noop("The stakeholders approve"), parts=(ENGINEERING, PRODUCT)),
)
sign_offs.register(ITEMS)


def judge_checklist(facts: SignOffFacts | None = None) -> tuple[ChecklistItem, ...]:
    """Judge the ten items as they are now."""
    return sign_offs.judge_items(ITEMS, facts=facts)
