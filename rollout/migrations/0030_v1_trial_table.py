"""How the latest trial start in V1 ended. A trial is made as the web role, whoever makes it."""

from django.db import migrations, models

import carecollective.core.database


class Migration(migrations.Migration):
    dependencies = [("rollout", "0029_count_without_v2_tables")]

    operations = [
        migrations.CreateModel(
            name="V1Trial",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("error_code", models.TextField(default="")),
                ("failures", models.PositiveIntegerField(default=0)),
            ],
            options={
                "db_table": "rollout_v1_trial",
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="rollout_v1_trial_is_one_row")
                ],
            },
        ),
        migrations.RunSQL(
            """
            GRANT SELECT, INSERT (id, error_code, failures), UPDATE (at, error_code, failures)
              ON public.rollout_v1_trial TO carecollective_web;
            """,
            "REVOKE ALL ON public.rollout_v1_trial FROM carecollective_web;",
        ),
    ]
