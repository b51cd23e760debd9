"""Indexes that migrations build and drop while everybody goes on writing.

Inside a transaction the ordinary statement is used, and a table that is not there is passed over: `drop_v2` drops tables, and
makes them again, empty, in one transaction. A migration with these operations says `atomic = False`.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.migrations import AddIndex, RemoveIndex
from django.db.migrations.operations.base import Operation


class AddIndexOnline(AddIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if _is_there(self, app_label, schema_editor, to_state):
            how = _ordinary_or(schema_editor, AddIndex, AddIndexConcurrently)
            how.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if _is_there(self, app_label, schema_editor, from_state):
            how = _ordinary_or(schema_editor, AddIndex, AddIndexConcurrently)
            how.database_backwards(self, app_label, schema_editor, from_state, to_state)


class RemoveIndexOnline(RemoveIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if _is_there(self, app_label, schema_editor, from_state):
            how = _ordinary_or(schema_editor, RemoveIndex, RemoveIndexConcurrently)
            how.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if _is_there(self, app_label, schema_editor, to_state):
            how = _ordinary_or(schema_editor, RemoveIndex, RemoveIndexConcurrently)
            how.database_backwards(self, app_label, schema_editor, from_state, to_state)


def _ordinary_or(schema_editor: Any, ordinary: Any, concurrent: Any) -> Any:
    return ordinary if schema_editor.connection.in_atomic_block else concurrent


def _is_there(operation: Operation, app_label: str, schema_editor: Any, state: Any) -> bool:
    """Tell whether the table is there; drop what an interrupted run left, which would have the name of the new index."""
    if schema_editor.collect_sql:
        return True
    connection = schema_editor.connection
    table = state.apps.get_model(app_label, operation.model_name)._meta.db_table  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        cursor.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid AND indrelid = %s::regclass", [table]
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {name}")
    return True
