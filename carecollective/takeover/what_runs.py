"""Keeps what of the legacy database runs when our roles write, so that a change of it is reported and not passed over."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from carecollective.core.catalog.comparison import Difference
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import Facts, load_snapshot
from carecollective.core.catalog.takeover import find_changes, pick_what_runs
from carecollective.takeover.models import Takeover

_COLUMN = "SELECT FROM pg_attribute WHERE attrelid = to_regclass('adoption_takeover') AND attname = 'what_runs'"


@transaction.atomic
def read_what_runs() -> Facts:
    """Read it from the catalogue as it is now."""
    with connection.cursor() as cursor:
        return pick_what_runs(load_snapshot(), read_live_catalog(cursor))


def record_what_runs(**_given: Any) -> None:
    """Keep it for a takeover of before it was kept. Called after each `migrate`."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMN)
        if cursor.fetchone() is None:
            # Only a part of the migrations was applied.
            return
    unkept = Takeover.objects.filter(what_runs__isnull=True)
    if unkept.exists():
        unkept.update(what_runs=read_what_runs())


@transaction.atomic
def accept_changes() -> Sequence[Difference]:
    """Keep what runs now in place of what was kept, and return what had changed."""
    takeover = Takeover.objects.select_for_update().order_by("pk").first()
    if takeover is None:
        return ()
    found = read_what_runs()
    changes = list(find_changes(takeover.what_runs or {}, found))
    takeover.what_runs = found
    takeover.save(update_fields=["what_runs"])
    return changes
