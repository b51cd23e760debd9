"""waffle makes its own flag tables although the flag model is ours; nothing reads them, and their foreign keys into
our tables break a flush between tests."""

from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation


class DropTheSwappedFlag(Operation):
    """Drop the tables, and tell the migrations' state what waffle's first migration left out: the model is swapped.

    Otherwise a later migration that deletes a member or a group would look for its flags in a table that is gone.
    """

    reversible = True

    def state_forwards(self, app_label: str, state: Any) -> None:
        state.alter_model_options("waffle", "flag", {"swappable": "WAFFLE_FLAG_MODEL"})

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        schema_editor.delete_model(from_state.apps.get_model("waffle", "Flag"))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        schema_editor.create_model(to_state.apps.get_model("waffle", "Flag"))

    def describe(self) -> str:
        return "Drop waffle's own flag tables"


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0002_create_the_record_of_changes"),
        ("waffle", "0004_update_everyone_nullbooleanfield"),
    ]

    operations = [DropTheSwappedFlag()]
