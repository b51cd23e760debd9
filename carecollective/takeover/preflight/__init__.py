"""The preflight: what stands in the way of a takeover, found by reading alone."""

from collections.abc import Callable, Iterable, Sequence

from django.db import DatabaseError, connection, transaction

from carecollective.takeover.preflight.columns import find_columns_of_another_shape, find_requests_of_nobody
from carecollective.takeover.preflight.findings import PreflightFinding
from carecollective.takeover.preflight.names import find_names_in_use, find_restrictions_of_nobody
from carecollective.takeover.preflight.policies import (
    find_policies_in_the_way,
    find_tables_open_to_all,
    find_tables_out_of_reach,
)
from carecollective.takeover.preflight.roles import find_roles_that_cannot_be_created
from carecollective.takeover.preflight.tables import find_missing_tables
from carecollective.takeover.preflight.triggers import find_conversations_left_behind, find_triggers_in_the_way

Check = Callable[[], Iterable[PreflightFinding]]
# Each reads Django's connection and yields what it finds. A new check is one function in a module here, and one line.
CHECKS: Sequence[Check] = (
    find_missing_tables,
    find_roles_that_cannot_be_created,
    find_names_in_use,
    find_columns_of_another_shape,
    find_requests_of_nobody,
    find_restrictions_of_nobody,
    find_tables_out_of_reach,
    find_tables_open_to_all,
    find_policies_in_the_way,
    find_triggers_in_the_way,
    find_conversations_left_behind,
)


def run_preflight() -> Sequence[PreflightFinding]:
    """Run every check in one read-only transaction. A check that fails is a finding too. Outside any transaction."""
    found: list[PreflightFinding] = []
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for check in CHECKS:
            try:
                with transaction.atomic():
                    found += check()
            except DatabaseError as error:
                found.append(_could_not_check(check, error))
    return found


def _could_not_check(check: Check, error: DatabaseError) -> PreflightFinding:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # The function's name says what it looks for: find_missing_tables.
    looked_for = getattr(check, "__name__", "find_it").removeprefix("find_").replace("_", " ")
    return PreflightFinding(
        problem=f"The database could not be searched for {looked_for}: {reason}.",
        remedy="Let the owner role read every table of the legacy database, and run the check again.",
    )
