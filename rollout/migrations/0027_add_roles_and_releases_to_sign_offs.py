"""A signature names the role that it was given in and the release that it was given for; the roles are groups."""

from typing import Any

from django.db import migrations, models

GROUPS = ("Engineering lead", "Product owner")


def create(apps: Any, schema_editor: Any) -> None:
    for name in GROUPS:
        apps.get_model("auth", "Group").objects.get_or_create(name=name)


def remove(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=GROUPS).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0026_grant_updates_by_column"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AddField("signoff", "role", models.TextField(default="", db_default="")),
        migrations.AddField("signoff", "release", models.TextField(default="", db_default="")),
        migrations.RunPython(create, remove),
    ]
