"""Every migration of ours back, forth and back again, one at a time, down to nothing, and up again to everything.

Runs in a process of its own: a data migration works on the default connection, which the tests need for themselves.
"""

import json
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.migrations.catalog import Catalog, describe

Key = tuple[str, str]
Target = tuple[str, str | None]


def walk() -> None:
    """Print as JSON how many steps were walked, where going back and forth left a difference, and what was left at zero."""
    executor = MigrationExecutor(connection)
    before = standing = _describe()
    plan = _applied(executor)
    steps = {}
    # The step that was tried last stands again: it goes back for good together with the next one.
    tried: list[Target] = []
    for index in reversed(range(len(plan))):
        here = plan[index]
        previous = next((key for key in reversed(plan[:index]) if key[0] == here[0]), (here[0], None))
        _go(executor, *tried, previous)
        below = _describe()
        tried = []
        if _is_ours(here[0]):
            _go(executor, here)
            steps[".".join(here)] = _difference(standing, _describe())
            tried = [previous]
        standing = below
    if tried:
        _go(executor, *tried)
    at_zero = _describe()
    _go(executor, *executor.loader.graph.leaf_nodes())
    print(
        json.dumps(
            {
                "steps": steps,
                "left_at_zero": sorted({table for table, _what, _words in at_zero if table}),
                "legacy_at_zero": sorted(at_zero),
                "in_the_end": _difference(before, _describe()),
            }
        )
    )


def _applied(executor: MigrationExecutor) -> list[Key]:
    """Return every applied migration in the order in which they were applied."""
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    return [(migration.app_label, migration.name) for migration, _backwards in plan]


def _go(executor: MigrationExecutor, *targets: Target) -> None:
    # The executor reads this once only, with every file of migrations.
    executor.loader.applied_migrations = executor.recorder.applied_migrations()  # type: ignore[assignment]
    executor.migrate(targets)


def _is_ours(label: str) -> bool:
    folder = Path(apps.get_app_config(label).path)
    return folder.is_relative_to(settings.BASE_DIR) and "site-packages" not in folder.parts


def _describe() -> Catalog:
    connection.ensure_connection()
    return describe(connection.connection)


def _difference(before: Catalog, after: Catalog) -> list[str]:
    lost = [f"lost: {' '.join(words)}" for words in sorted(before - after)]
    return lost + [f"gained: {' '.join(words)}" for words in sorted(after - before)]
