"""The preflight: finds what would stop a takeover. It only reads."""

from collections.abc import Callable, Iterable, Sequence

from django.db import DatabaseError, transaction

from carecollective.core.database import execute
from carecollective.takeover.preflight.columns import (
    find_missing_tables,
    find_requests_without_owner,
    find_unsuitable_columns,
)
from carecollective.takeover.preflight.findings import PreflightFinding
from carecollective.takeover.preflight.names import find_name_conflicts, find_unreadable_restrictions
from carecollective.takeover.preflight.policies import (
    find_blocking_policies,
    find_inaccessible_tables,
    find_tables_open_to_everybody,
)
from carecollective.takeover.preflight.roles import find_roles_that_cannot_be_created
from carecollective.takeover.preflight.triggers import find_failing_triggers, find_missing_order_trigger

Check = Callable[[], Iterable[PreflightFinding]]
# Each reads over Django's connection and yields findings. A new check is a function in a module here, and a line.
CHECKS: Sequence[Check] = (
    find_missing_tables,
    find_roles_that_cannot_be_created,
    find_name_conflicts,
    find_unsuitable_columns,
    find_requests_without_owner,
    find_unreadable_restrictions,
    find_inaccessible_tables,
    find_tables_open_to_everybody,
    find_blocking_policies,
    find_failing_triggers,
    find_missing_order_trigger,
)


def run_preflight() -> Sequence[PreflightFinding]:
    """Run every check in one read-only transaction of its own. A check that fails is a finding, too."""
    found: list[PreflightFinding] = []
    with transaction.atomic(durable=True):
        execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for check in CHECKS:
            try:
                with transaction.atomic():
                    found += check()
            except DatabaseError as error:
                found.append(_could_not_check(check, error))
    return found


def _could_not_check(check: Check, error: DatabaseError) -> PreflightFinding:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # The function's name says what it looks for, as in find_missing_tables.
    looked_for = getattr(check, "__name__", "find_it").removeprefix("find_").replace("_", " ")
    return PreflightFinding(
        problem=f"The database could not be searched for {looked_for}: {reason}.",
        remedy="Let the owner role read every table of the legacy database, and run the check again.",
    )
