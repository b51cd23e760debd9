"""Records the legacy functions, triggers and policies that run when our roles write, so that changes are reported."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from carecollective.core.catalog.comparison import Difference
from carecollective.core.catalog.legacy_code import find_changes, pick_legacy_code
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import Facts, load_snapshot
from carecollective.core.database import fetch_all
from carecollective.takeover.models import Takeover

_COLUMN = "SELECT FROM pg_attribute WHERE attrelid = to_regclass('adoption_takeover') AND attname = 'what_runs'"


@transaction.atomic
def read_legacy_code() -> Facts:
    """Read the legacy code from the catalogue as it is now."""
    with connection.cursor() as cursor:
        return pick_legacy_code(load_snapshot(), read_live_catalog(cursor))


def record_legacy_code(**_given: Any) -> None:
    """Record the legacy code for a takeover that has no record of it. Called after each `migrate`."""
    if not fetch_all(_COLUMN):
        # Only a part of the migrations was applied.
        return
    without_record = Takeover.objects.filter(what_runs__isnull=True)
    if without_record.exists():
        without_record.update(what_runs=read_legacy_code())


@transaction.atomic
def accept_changes() -> Sequence[Difference]:
    """Record the legacy code as it is now, and return what had changed."""
    takeover = Takeover.objects.select_for_update().order_by("pk").first()
    if takeover is None:
        return ()
    found = read_legacy_code()
    changes = list(find_changes(takeover.what_runs or {}, found))
    takeover.what_runs = found
    takeover.save(update_fields=["what_runs"])
    return changes
