"""Every migration of ours back, forth and back again, one at a time, down to nothing, and up again to everything.

Runs in a process of its own: a data migration works on the default connection, which the tests need for themselves.
"""

import json
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.migrations.catalog import Catalog, describe

Key = tuple[str, str]


def walk() -> None:
    """Print as JSON how many steps were walked, where going back and forth left a difference, and what was left at zero."""
    before = _describe()
    plan = _applied()
    steps = {}
    for index in reversed(range(len(plan))):
        here = plan[index]
        previous = next((key for key in reversed(plan[:index]) if key[0] == here[0]), (here[0], None))
        standing = _describe()
        _go(previous)
        if not _is_ours(here[0]):
            continue
        _go(here)
        steps[".".join(here)] = _difference(standing, _describe())
        _go(previous)
    at_zero = _describe()
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
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


def _applied() -> list[Key]:
    """Return every applied migration in the order in which they were applied."""
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph
    plan = executor.migration_plan(graph.leaf_nodes(), clean_start=True)
    return [(migration.app_label, migration.name) for migration, _backwards in plan]


def _go(target: tuple[str, Any]) -> None:
    MigrationExecutor(connection).migrate([target])


def _is_ours(label: str) -> bool:
    folder = Path(apps.get_app_config(label).path)
    return folder.is_relative_to(settings.BASE_DIR) and "site-packages" not in folder.parts


def _describe() -> Catalog:
    connection.ensure_connection()
    return describe(connection.connection)


def _difference(before: Catalog, after: Catalog) -> list[str]:
    lost = [f"lost: {' '.join(words)}" for words in sorted(before - after)]
    return lost + [f"gained: {' '.join(words)}" for words in sorted(after - before)]
