from django.db import migrations, models

import carecollective.core.database


class Migration(migrations.Migration):
    """Which backups were restored to try them. The web has no business with it: the owner writes and reads it."""

    dependencies = [
        ("operations", "0003_drop_what_dropped_tables_had"),
    ]

    operations = [
        migrations.CreateModel(
            name="RestoreTrial",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("dump", models.TextField()),
                ("tried_at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("seconds", models.FloatField()),
                ("failure", models.TextField(default="")),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["-tried_at"], name="operations_trial_newest")],
            },
        ),
    ]
