"""`drop_v2` takes this migration back with the tables, so that `migrate` makes them anew, as the messaging's own migrations do.

Those stay on record: others stand on them, and taking them back would take back the record of the rollout as well.
Nothing may depend on this migration.
"""

from typing import Any

from django.db import migrations
from django.db.migrations.loader import MigrationLoader

APP = "messaging_v2"


def make_where_dropped(apps: Any, schema_editor: Any) -> None:
    if "conversations_v2" in schema_editor.connection.introspection.table_names():
        return
    loader = MigrationLoader(None)
    plan = loader.graph.forwards_plan(loader.graph.leaf_nodes(APP)[0])
    for key in (key for key in plan if key[0] == APP):
        loader.graph.nodes[key].apply(loader.project_state(key, at_end=False), schema_editor)
    dropped = apps.get_model("operations", "DroppedMessaging").objects.order_by("-pk").first()
    for statement in dropped.statements if dropped else ():
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [
        ("messaging_v2", "0003_let_members_act_for_themselves_only"),
        ("operations", "0001_remember_what_dropped_tables_had"),
    ]

    operations = [migrations.RunPython(make_where_dropped, migrations.RunPython.noop)]
