"""Makes V2's tables again after they were dropped. Runs after `migrate`, which applies no migration twice."""

from typing import Any

from django.apps import AppConfig
from django.db import connections, transaction
from django.db.migrations.executor import MigrationExecutor

from carecollective.core.catalog.comparison import find_differences, owning_table
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import load_snapshot
from carecollective.operations.verification.remedies import V2_TABLES, write_repair
from rollout.stages import DISABLED
from rollout.targeting.state import FLAG_NAME

APP = "messaging_v2"
MADE_AGAIN = "V2's tables were missing, and are made again, empty. The newest backup has what they held."


def make_v2_where_dropped(*, sender: AppConfig, using: str, stdout: Any = None, **given: Any) -> None:
    """Make both tables as migrations and snapshot say, at the stage `disabled` and with all migrations applied.

    At any other stage a person must first roll back or restore, because V2's conversations are lost.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        if set(V2_TABLES) & set(connection.introspection.table_names(cursor)):
            return
    executor = MigrationExecutor(connection)
    loader = executor.loader
    if executor.migration_plan(loader.graph.leaf_nodes()):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT stage FROM public.rollout_flag WHERE name = %s", [FLAG_NAME])
        row = cursor.fetchone()
    if row and row[0] != str(DISABLED):
        return
    with transaction.atomic(using):
        with connection.schema_editor() as editor:
            for key in loader.graph.forwards_plan(loader.graph.leaf_nodes(APP)[0]):
                if key[0] == APP:
                    loader.graph.nodes[key].apply(loader.project_state(key, at_end=False), editor)
        with connection.cursor() as cursor:
            for statement in _repairs_of_v2(cursor):
                cursor.execute(statement)
    if stdout is not None:
        stdout.write(MADE_AGAIN)


def _repairs_of_v2(cursor: Any) -> list[str]:
    """Return the SQL for what other apps' migrations add to these tables, such as rights and triggers."""
    snapshot, live = load_snapshot(), read_live_catalog(cursor)
    expected = snapshot.expected(made_here=live.made_here)
    return [
        write_repair(difference, live=live, expected=expected)
        for difference in find_differences(snapshot, live)
        if {owning_table(difference.name), difference.name.rpartition(" to ")[0]} & set(V2_TABLES)
    ]
