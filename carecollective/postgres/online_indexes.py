"""Indexes that migrations build and drop while everybody goes on writing.

Inside a transaction the ordinary statement is used, and a table that is not there is passed over: `drop_v2` drops tables, and
makes them again, empty, in one transaction. A migration with these operations says `atomic = False`.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.migrations import AddIndex, RemoveIndex


class _Online:
    ordinary: Any
    concurrent: Any

    def database_forwards(self, *given: Any) -> None:
        self._run("database_forwards", *given)

    def database_backwards(self, *given: Any) -> None:
        self._run("database_backwards", *given)

    def _run(self, direction: str, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql and not self._is_ready(app_label, schema_editor.connection, to_state):
            return
        how = self.ordinary if schema_editor.connection.in_atomic_block else self.concurrent
        getattr(how, direction)(self, app_label, schema_editor, from_state, to_state)

    def _is_ready(self, app_label: str, connection: Any, state: Any) -> bool:
        """Tell whether the table is there; drop what an interrupted run left under the index's name."""
        operation: Any = self
        table = state.apps.get_model(app_label, operation.model_name)._meta.db_table
        name = operation.index.name if isinstance(self, AddIndex) else operation.name
        with connection.cursor() as cursor:
            if table not in connection.introspection.table_names(cursor):
                return False
            unfinished = "SELECT FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s)) AND NOT indisvalid"
            cursor.execute(unfinished, [name])
            if cursor.fetchone() is not None:
                cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")
        return True


class AddIndexOnline(_Online, AddIndexConcurrently):
    ordinary, concurrent = AddIndex, AddIndexConcurrently


class RemoveIndexOnline(_Online, RemoveIndexConcurrently):
    ordinary, concurrent = RemoveIndex, RemoveIndexConcurrently
