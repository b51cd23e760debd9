"""Whether messaging can be trusted to this database: what is there, who may do what, and what the rows say."""

from collections.abc import Sequence

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from carecollective.core.database import connected_as
from carecollective.core.startup import find_dangers
from carecollective.operations import trials
from carecollective.operations.checks import Check, compare
from carecollective.operations.connections import Session, connected, url_of
from carecollective.operations.structure import check_models, check_structure
from carecollective.postgres import ROLE_NAMES
from carecollective.postgres.roles import GRANTED_ATTRIBUTES, has_right_attributes
from rollout.evidence import FAIL, PASS, Finding
from rollout.integrity import count_broken

# The playbook's five first, by their numbers.
ORDER = (
    *("1 Tables", "2 Operations", "3 Indexes", "4 Row-level security", "5 Policies"),
    *("Constraints", "Triggers", "Functions", "Roles", "Grants", "Drift", "Integrity"),
)
INVARIANTS = (
    *("helper_is_requester", "requester_is_not_owner", "pair_has_two", "first_message_is_empty", "message_is_empty"),
    *("sender_takes_no_part", "message_before_its_conversation"),
)
_MEMBERSHIPS = """
SELECT other.rolname::text FROM pg_roles other
WHERE other.rolname <> %(name)s AND NOT other.rolsuper AND pg_has_role(%(name)s, other.oid, 'MEMBER') ORDER BY 1
"""
_SAMPLE = (
    "SELECT id, help_request_id, requester_id, helper_id FROM public.conversations_v2 ORDER BY created_at DESC LIMIT 1"
)


def verify_messaging() -> Sequence[Check]:
    """Look at everything, try the operations as the web role, and leave no trace."""
    with connected(url_of("ops")) as session:
        structure = [*check_structure(session.cursor())]
        sound = all(check.ok for check in structure if check.group == "1 Tables")
        sample = session.execute(_SAMPLE).fetchone() if sound else None
        roles = [*_check_roles(session), *check_models(session.cursor())]
        integrity = _check_integrity(session) if sound else []
    with connected_as(url_of("web")):
        tried = [*trials.try_operations(trials.Sample(*sample) if sample else None)] if sound else []
        way_around = [danger.sentence for danger in find_dangers()]
        migrations = _check_migrations()
    start = compare("Roles", "ways around the policies at start-up", "none", " ".join(way_around) or "none")
    found = [*structure, *tried, *roles, start, *migrations, *integrity]
    return sorted(found, key=lambda check: ORDER.index(check.group))


def verify_structure() -> Sequence[Check]:
    """Do the cheap part, in one statement: what every start can afford."""
    with connected(url_of("ops")) as session:
        return check_structure(session.cursor())


def find_schema() -> Finding:
    """Judge the checklist's item on the connection at hand: the same checks, in one statement."""
    with connection.cursor() as cursor:
        checks = check_structure(cursor)
    wrong = next((check for check in checks if not check.ok), None)
    if wrong is not None:
        said = {"what": wrong.what, "expected": wrong.expected, "found": wrong.found}
        return Finding(FAIL, _("%(what)s: %(expected)s expected, %(found)s found. Run manage.py migrate.") % said)
    return Finding(
        PASS, _("All %(count)d checks of the tables, indexes, policies and grants pass.") % {"count": len(checks)}
    )


def _check_roles(session: Session) -> Sequence[Check]:
    found = []
    for role in ("web", "ops", "guard"):
        name = ROLE_NAMES[role]
        wanted = ", ".join(sorted(GRANTED_ATTRIBUTES[role]))
        right = has_right_attributes(session, role)
        found.append(Check("Roles", name, wanted, wanted if right else "others, or missing", right))
        if right and role != "ops":
            member_of = [other for (other,) in session.execute(_MEMBERSHIPS, {"name": name}).fetchall()]
            found.append(compare("Roles", f"{name} belongs to", "no role", ", ".join(member_of) or "no role"))
    return found


def _check_migrations() -> Sequence[Check]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _backwards in plan)
    return [compare("Drift", "migrations to apply", "none", names or "none")]


def _check_integrity(session: Session) -> Sequence[Check]:
    broken = count_broken(on=session)
    names = (*INVARIANTS, *(name for name in broken if name not in INVARIANTS))
    return [compare("Integrity", name.replace("_", " "), 0, broken.get(name, 0)) for name in names]
