from typing import Any

from django.db import migrations

OPERATORS, TESTERS = "Rollout operators", "Internal testers"
PERMISSIONS = {
    "view": "Can see the rollout's control room",
    "propose": "Can move the rollout up and freeze V1",
    "approve": "Can approve a promotion",
    "rollback": "Can roll back",
}


def create(apps: Any, schema_editor: Any) -> None:
    # Django makes the permissions only after the last migration; it will find these and leave them.
    flag, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label="rollout", model="flag")
    Permission = apps.get_model("auth", "Permission")
    Group = apps.get_model("auth", "Group")
    operators, _ = Group.objects.get_or_create(name=OPERATORS)
    for codename, name in PERMISSIONS.items():
        permission, _ = Permission.objects.get_or_create(content_type=flag, codename=codename, defaults={"name": name})
        operators.permissions.add(permission)
    Group.objects.get_or_create(name=TESTERS)


def remove(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=[OPERATORS, TESTERS]).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0006_grant_what_each_role_needs"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(create, remove)]
