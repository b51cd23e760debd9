"""Takes the picture of a freshly migrated database: `python -m tests.db_snapshot`, which is `make db-snapshot`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from carecollective.core.catalog.reader import LiveCatalog, read_live_catalog
from carecollective.core.catalog.snapshot import PATH, DatabaseSnapshot, write_snapshot
from carecollective.postgres.dsn import ROLE_NAMES
from tests import databases

# Its triggers are its own: what they must do, `verify_messaging` tries.
# What V1 stands on even where the legacy system brought it: whose the tables are, whether policies hold, our roles' rights.
REQUIRED_OF_LEGACY = ("Tables", "Row-level security", "Roles", "Settings", "Default privileges")
OUR_ROLES = tuple(ROLE_NAMES.values())


def take_snapshot(data_dir: Path) -> DatabaseSnapshot:
    """Migrate an empty database and the legacy one, and tell what the migrations make in both from the rest."""
    from tests.migrations import legacy

    born_empty = read_copy(data_dir, databases.prepare_template(data_dir)).facts
    taken_over = read_copy(data_dir, legacy.prepare_taken_over_template(data_dir)).facts
    with _legacy_database(data_dir) as name:
        before = _read(data_dir, name).facts
    ours: dict[str, dict[str, str]] = {}
    rest: dict[str, dict[str, str]] = {}
    for part, named in born_empty.items():
        for name, value in named.items():
            was_there = before.get(part, {}).get(name) == value and not _is_required(part, name)
            is_ours = not was_there and taken_over.get(part, {}).get(name) == value
            (ours if is_ours else rest).setdefault(part, {})[name] = value
    return DatabaseSnapshot(
        ours=ours, legacy=rest, legacy_tables=frozenset(before["Tables"]) & frozenset(born_empty["Tables"])
    )


def _is_required(part: str, name: str) -> bool:
    if part == "Grants":
        return name.endswith(OUR_ROLES)
    return part in REQUIRED_OF_LEGACY


def read_copy(data_dir: Path, template: str) -> LiveCatalog:
    """Read a copy of the template: sessions on the template itself are ended by whoever copies it next."""
    name = f"test_{os.getpid()}_snapshot"
    databases.recreate(data_dir, name, template)
    try:
        return _read(data_dir, name)
    finally:
        databases.drop(data_dir, name)


def _read(data_dir: Path, database: str) -> LiveCatalog:
    with psycopg.connect(databases.superuser_url(data_dir, database)) as session:
        return read_live_catalog(session.cursor())


@contextmanager
def _legacy_database(data_dir: Path) -> Iterator[str]:
    from tests.migrations import legacy

    name = f"test_{os.getpid()}_snapshot"  # not the name that the tests of the takeover use
    legacy.restore(data_dir, name)
    try:
        yield name
    finally:
        databases.drop(data_dir, name)


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    from django.conf import settings

    write_snapshot(take_snapshot(settings.DATA_DIR))
    print(f"Written: {PATH.name}. Look at its diff, and commit it with the migration.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
