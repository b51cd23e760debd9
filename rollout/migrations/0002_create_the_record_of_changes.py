from django.db import migrations, models

import carecollective.core.database


class Migration(migrations.Migration):
    dependencies = [("rollout", "0001_create_the_table_of_flags")]

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("actor_id", models.UUIDField(null=True)),
                ("actor_label", models.TextField()),
                (
                    "source",
                    models.TextField(
                        choices=[
                            ("admin", "Control room"),
                            ("command", "Command line"),
                            ("guard", "Guard"),
                            ("environment", "Environment"),
                            ("outside", "Outside the application"),
                        ]
                    ),
                ),
                ("from_stage", models.TextField(null=True)),
                ("to_stage", models.TextField(null=True)),
                ("from_v1_writes", models.BooleanField(null=True)),
                ("to_v1_writes", models.BooleanField(null=True)),
                ("reason", models.TextField()),
                ("override", models.BooleanField(default=False)),
                ("database_role", models.TextField()),
                ("flag_version", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "change",
                "db_table": "rollout_change",
                "ordering": ["-id"],
                "default_permissions": (),
            },
        )
    ]
