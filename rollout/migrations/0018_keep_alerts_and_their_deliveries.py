"""The guard opens alerts and closes them; the worker, as the web role, carries them to people."""

import django.db.models.deletion
from django.db import migrations, models

import carecollective.core.database

GRANT = """
GRANT SELECT, INSERT ON public.rollout_alert TO carecollective_guard;
GRANT UPDATE (last_seen_at, worsened_at, resolved_at, words, figures, disabled_v2) ON public.rollout_alert
  TO carecollective_guard;
GRANT SELECT ON public.rollout_alert TO carecollective_web;
GRANT SELECT, INSERT, UPDATE ON public.rollout_delivery TO carecollective_web;
"""

REVOKE = """
REVOKE ALL ON public.rollout_alert, public.rollout_delivery FROM carecollective_guard, carecollective_web;
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0017_give_the_guard_a_lease")]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.TextField()),
                ("severity", models.TextField(choices=[("critical", "Critical"), ("warning", "Warning")])),
                ("opened_at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("last_seen_at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("worsened_at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("resolved_at", models.DateTimeField(null=True)),
                ("words", models.TextField()),
                ("figures", models.JSONField(default=dict)),
                ("stage", models.TextField()),
                ("disabled_v2", models.BooleanField(default=False)),
            ],
            options={
                "db_table": "rollout_alert",
                "ordering": ["-id"],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("resolved_at", None)),
                        fields=("kind",),
                        name="rollout_alert_one_open_a_kind",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", ["critical", "warning"])),
                        name="rollout_alert_severity_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("resolved_at", None), ("resolved_at__gte", models.F("opened_at")), _connector="OR"
                        ),
                        name="rollout_alert_ends_after_it_began",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("channel", models.TextField()),
                ("what", models.TextField(choices=[("opened", "Opened"), ("resolved", "Resolved")])),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "next_try_at",
                    models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp(), null=True),
                ),
                ("delivered_at", models.DateTimeField(null=True)),
                ("error", models.TextField(default="")),
                (
                    "alert",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="rollout.alert"
                    ),
                ),
            ],
            options={
                "db_table": "rollout_delivery",
                "ordering": ["id"],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("alert", "channel", "what"), name="rollout_delivery_once_a_channel"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("what__in", ["opened", "resolved"])),
                        name="rollout_delivery_occasion_is_known",
                    ),
                ],
            },
        ),
        migrations.RunSQL(GRANT, REVOKE),
    ]
