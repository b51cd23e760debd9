"""No row yet: V2 stays off until a guard has looked at the figures for the first time."""

from django.db import migrations, models

import carecollective.core.database


class Migration(migrations.Migration):
    dependencies = [("rollout", "0016_grant_what_each_role_needs_to_promote")]

    operations = [
        migrations.CreateModel(
            name="GuardLease",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("holder", models.TextField()),
                ("renewed_at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
            ],
            options={
                "db_table": "rollout_guard_lease",
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="rollout_guard_lease_is_one_row")
                ],
            },
        ),
        migrations.RunSQL(
            """
            GRANT SELECT, INSERT, UPDATE ON public.rollout_guard_lease TO carecollective_guard;
            GRANT SELECT ON public.rollout_guard_lease TO carecollective_web;
            """,
            "REVOKE ALL ON public.rollout_guard_lease FROM carecollective_guard, carecollective_web;",
        ),
    ]
