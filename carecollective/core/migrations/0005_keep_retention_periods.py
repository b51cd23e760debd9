from typing import Any

from django.db import migrations, models

from carecollective.core.retention import periods


def keep_periods(apps: Any, schema_editor: Any) -> None:
    model = apps.get_model("core", "RetentionPeriod")
    for kind, days in periods().items():
        model.objects.create(kind=kind, days=days)


class Migration(migrations.Migration):
    """How long things are kept, where the web role cannot change it: it may delete what is older, and no more."""

    dependencies = [("core", "0004_add_write_probe")]

    operations = [
        migrations.CreateModel(
            name="RetentionPeriod",
            fields=[
                ("kind", models.TextField(primary_key=True, serialize=False)),
                ("days", models.PositiveIntegerField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("days__gte", 1)), name="core_retention_of_a_day_at_least"
                    )
                ],
            },
        ),
        migrations.RunPython(keep_periods, migrations.RunPython.noop),
    ]
