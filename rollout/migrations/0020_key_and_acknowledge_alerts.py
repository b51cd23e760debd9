"""An alert has a key within its kind and can be acknowledged; a delivery can be a test of its channel."""

import django.db.models.deletion
from django.db import migrations, models

GRANT = """
GRANT INSERT ON public.rollout_alert TO carecollective_web;
GRANT UPDATE (last_seen_at, worsened_at, resolved_at, words, figures, acknowledged_at, acknowledged_by_id,
  acknowledged_by_label) ON public.rollout_alert TO carecollective_web;
GRANT SELECT, INSERT, UPDATE ON public.rollout_delivery TO carecollective_guard;
GRANT SELECT ON public.rollout_change_alerts_start TO carecollective_web, carecollective_guard;
GRANT SELECT ON public.core_workerheartbeat TO carecollective_guard;
INSERT INTO public.rollout_change_alerts_start (id, after_change_id)
  SELECT 1, coalesce(max(id), 0) FROM public.rollout_change;
"""

# Kinds that the earlier table does not know go with it.
REVOKE = """
SET CONSTRAINTS ALL IMMEDIATE;
DELETE FROM public.rollout_delivery WHERE what = 'test';
DELETE FROM public.rollout_alert WHERE severity = 'notice' OR key <> '';
DELETE FROM public.rollout_change_alerts_start;
REVOKE SELECT ON public.core_workerheartbeat FROM carecollective_guard;
REVOKE ALL ON public.rollout_delivery FROM carecollective_guard;
REVOKE INSERT, UPDATE ON public.rollout_alert FROM carecollective_web;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0019_count_what_is_broken"),
        ("core", "0002_count_and_listen"),
    ]

    operations = [
        migrations.CreateModel(
            name="ChangeAlertsStart",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("after_change_id", models.BigIntegerField()),
            ],
            options={
                "db_table": "rollout_change_alerts_start",
                "default_permissions": (),
            },
        ),
        migrations.RemoveConstraint(
            model_name="alert",
            name="rollout_alert_one_open_a_kind",
        ),
        migrations.RemoveConstraint(
            model_name="alert",
            name="rollout_alert_severity_is_known",
        ),
        migrations.RemoveConstraint(
            model_name="delivery",
            name="rollout_delivery_occasion_is_known",
        ),
        migrations.AddField(
            model_name="alert",
            name="acknowledged_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="alert",
            name="acknowledged_by_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="alert",
            name="acknowledged_by_label",
            field=models.TextField(db_default="", default=""),
        ),
        migrations.AddField(
            model_name="alert",
            name="key",
            field=models.TextField(db_default="", default=""),
        ),
        migrations.AddField(
            model_name="delivery",
            name="failed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="delivery",
            name="requested_by_label",
            field=models.TextField(db_default="", default=""),
        ),
        migrations.AlterField(
            model_name="alert",
            name="severity",
            field=models.TextField(choices=[("critical", "Critical"), ("warning", "Warning"), ("notice", "Notice")]),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="alert",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="rollout.alert"
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="what",
            field=models.TextField(choices=[("opened", "Opened"), ("resolved", "Resolved"), ("test", "Test")]),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("resolved_at", None)),
                fields=("kind", "key"),
                name="rollout_alert_one_open_of_kind_and_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind__in", ("guard_rollback", "changed_from_outside", "stage_changed"))),
                fields=("key",),
                name="rollout_alert_one_for_each_change",
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__in", ["critical", "warning", "notice"])),
                name="rollout_alert_severity_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("acknowledged_at", None), ("acknowledged_by_label", "")),
                    models.Q(
                        ("acknowledged_at__isnull", False), models.Q(("acknowledged_by_label", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="rollout_alert_acknowledged_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("what__in", ["opened", "resolved", "test"])),
                name="rollout_delivery_occasion_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("what", "test"), ("alert", None)),
                    models.Q(models.Q(("what", "test"), _negated=True), ("alert__isnull", False)),
                    _connector="OR",
                ),
                name="rollout_delivery_is_about_an_alert_or_a_test",
            ),
        ),
        migrations.AddConstraint(
            model_name="changealertsstart",
            constraint=models.CheckConstraint(
                condition=models.Q(("id", 1)), name="rollout_change_alerts_start_is_one_row"
            ),
        ),
        migrations.RunSQL(GRANT, REVOKE),
    ]
