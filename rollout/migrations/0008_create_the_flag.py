from secrets import token_hex
from typing import Any

from django.conf import settings
from django.db import migrations

CONTEXT = """
SELECT set_config('rollout.actor_label', %s, true), set_config('rollout.source', %s, true),
       set_config('rollout.reason', %s, true)
"""


def create(apps: Any, schema_editor: Any) -> None:
    # A database without the flag is new to the rollout: here alone the environment chooses the stage.
    stage = str(settings.MESSAGING_V2_ROLLOUT or "disabled")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(CONTEXT, ["Set-up", "environment", "The flag was created."])
        apps.get_model("rollout", "Flag").objects.create(
            name="messaging_v2",
            superusers=False,
            note="Decided by rollout.cohort.decide; nothing of waffle's own is consulted.",
            stage=stage,
            v1_writes=stage != "enabled",
            salt=token_hex(16),
        )
        cursor.execute(CONTEXT, ["", "", ""])


def remove(apps: Any, schema_editor: Any) -> None:
    apps.get_model("rollout", "Flag").objects.filter(name="messaging_v2").delete()


class Migration(migrations.Migration):
    dependencies = [("rollout", "0007_create_the_groups_of_operators_and_testers")]

    operations = [migrations.RunPython(create, remove)]
