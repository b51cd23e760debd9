"""Verifies the database: its structure, who may do what, and whether the rows are consistent."""

from collections.abc import Sequence
from dataclasses import replace

from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from carecollective.core.catalog.comparison import find_changes, pick_legacy_code
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.database import connected_as
from carecollective.operations.connections import Session, connected, url_of
from carecollective.operations.verification import impersonation_checks
from carecollective.operations.verification.checks import Check, compare
from carecollective.operations.verification.structure import SEE_BELOW, as_check, check_models, check_structure
from carecollective.serving.startup_checks import find_dangers
from rollout.alerts.judges import INVARIANTS
from rollout.guard.integrity import count_broken
from rollout.promotion import audit_log
from rollout.promotion.automated_checks import CheckResult, failed, passed

# The playbook's five groups first, by number.
ORDER = (
    *("1 Tables", "2 Operations", "3 Indexes", "4 Row-level security", "5 Policies"),
    *("Constraints", "Triggers", "Rules", "Functions", "Views", "Inheritance"),
    *("Owners", "Grants", "Default privileges", "Roles", "Settings"),
    *("Event triggers", "Publications", "Subscriptions", "Operators", "Casts"),
    *("Legacy system", "Drift", "Integrity"),
)
LEGACY = "Legacy system"
AS_TAKEN_OVER = "as at the takeover"
_WHAT_RUNS = "SELECT what_runs FROM public.adoption_takeover ORDER BY id LIMIT 1"
_ACCEPT = "It runs when members write. Ask who changed it, and why. If it is meant: `manage.py adopt_legacy --accept-changes`."
_CLOSE = "The site does not start until this is closed. Each sentence says how."
_COMPARE = "No command repairs rows. Look at them beside the newest backup, as the operations role."
_ASK_WHO = "Find out who wrote to the record. `manage.py rollout audit --verify` names the lines; a backup has them as they were."
_SAMPLE = (
    "SELECT id, help_request_id, requester_id, helper_id FROM public.conversations_v2 ORDER BY created_at DESC LIMIT 1"
)
# A legacy conversation that a member could send into now.
_LEGACY_SAMPLE = """
SELECT c.id, me.user_id FROM public.conversations c
JOIN public.conversation_participants me ON me.conversation_id = c.id AND me.left_at IS NULL
JOIN public.profiles p ON p.id = me.user_id AND p.is_active AND p.verification_status::text = 'approved'
WHERE c.status::text = 'active' AND EXISTS (
  SELECT FROM public.conversation_participants other
  JOIN public.profiles them ON them.id = other.user_id AND them.is_active
  WHERE other.conversation_id = c.id AND other.user_id <> me.user_id AND other.left_at IS NULL
    AND NOT EXISTS (SELECT FROM public.safety_block b WHERE (b.blocker_id, b.blocked_id) IN
      ((me.user_id, other.user_id), (other.user_id, me.user_id))))
AND NOT EXISTS (SELECT FROM public.safety_closing k WHERE k.conversation_id = c.id)
AND NOT EXISTS (SELECT FROM public.safety_restriction r WHERE r.member_id = me.user_id AND r.lifted_at IS NULL)
ORDER BY c.created_at DESC NULLS LAST, c.id LIMIT 1
"""


def verify_messaging() -> Sequence[Check]:
    """Check everything, and try the operations as the web role. Nothing is changed."""
    with connected(url_of("ops")) as session:
        structure = [*check_structure(session.cursor()), *_check_legacy(session)]
        has_tables = all(check.ok for check in structure if check.group == "1 Tables")
        sample = session.execute(_SAMPLE).fetchone() if has_tables else None
        legacy_sample = session.execute(_LEGACY_SAMPLE).fetchone() if has_tables else None
        models = check_models(session.cursor())
        integrity = _check_integrity(session) if has_tables else []
    with connected_as(url_of("web")):
        tried = (
            [*impersonation_checks.try_operations(impersonation_checks.Sample(*sample) if sample else None)]
            if has_tables
            else []
        )
        tried += impersonation_checks.try_legacy_order(*legacy_sample) if legacy_sample else ()
        way_around = [danger.sentence for danger in find_dangers()]
        migrations = _check_migrations()
        record = [_check_record()] if has_tables else []
    start = compare("Roles", "ways around the policies at start-up", "none", " ".join(way_around) or "none", _CLOSE)
    found = [*structure, *tried, start, *models, *migrations, *integrity, *record]
    return sorted(found, key=lambda check: ORDER.index(check.group))


def verify_structure() -> Sequence[Check]:
    """Compare the catalogue only, which is fast enough for every start."""
    with connected(url_of("ops")) as session:
        return [*check_structure(session.cursor()), *_check_legacy(session)]


def find_newer_migrations() -> Sequence[str]:
    """Return the migrations that a newer release applied: this release's snapshot is older than the tables."""
    loader = MigrationExecutor(connection).loader
    return sorted(f"{app}.{name}" for app, name in loader.applied_migrations if (app, name) not in loader.graph.nodes)


def check_schema() -> CheckResult:
    """Judge the checklist's item by the catalogue, over the current connection."""
    with transaction.atomic(), connection.cursor() as cursor:
        checks = check_structure(cursor)
    wrong = [check for check in checks if not check.ok]
    if wrong:
        # A failed count is less useful than the difference behind it.
        first = next((check for check in wrong if check.remedy != SEE_BELOW), wrong[0])
        return failed(f"{first.what}: {first.expected} expected, {first.found} found. {first.remedy}")
    return passed(f"All {len(checks)} checks of the tables, indexes, policies and grants pass.")


def _check_legacy(session: Session) -> Sequence[Check]:
    """Compare the legacy code that runs on our writes with the takeover's record. Without a takeover there is none."""
    live = read_live_catalog(session.cursor())
    kept = session.execute(_WHAT_RUNS).fetchone() if "adoption_takeover" in live.facts["Tables"] else None
    if kept is None or kept[0] is None:
        return []
    changes = list(find_changes(kept[0], pick_legacy_code(live)))
    if not changes:
        return [compare(LEGACY, "what runs when members write", AS_TAKEN_OVER, AS_TAKEN_OVER)]
    return [
        replace(check, group=LEGACY, name=f"{change.part.lower()}, {change.name}", remedy=f"{check.remedy} {_ACCEPT}")
        for change in changes
        if (check := as_check(change, live))
    ]


def _check_migrations() -> Sequence[Check]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _backwards in plan)
    newer = ", ".join(find_newer_migrations())
    return [
        compare("Drift", "migrations to apply", "none", names or "none", "Run `manage.py migrate`."),
        compare("Drift", "migrations of a newer release", "none", newer or "none", "Run the release that made them."),
    ]


def _check_record() -> Check:
    """Recompute the hashes of the audit log."""
    problems = audit_log.verify().problems
    return compare("Integrity", "record of changes", "whole", " ".join(problems) or "whole", _ASK_WHO)


def _check_integrity(session: Session) -> Sequence[Check]:
    broken = count_broken(on=session)
    names = (*INVARIANTS, *(name for name in broken if name not in INVARIANTS))
    return [compare("Integrity", name.replace("_", " "), 0, broken.get(name, 0), _COMPARE) for name in names]
