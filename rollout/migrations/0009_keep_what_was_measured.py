"""The web adds events and reads them, the guard reads them; what is too old goes through one function that knows no other work."""

from django.db import migrations, models

import carecollective.core.database

GRANT = """
GRANT SELECT, INSERT ON public.application_logs TO carecollective_web;
GRANT SELECT ON public.application_logs TO carecollective_guard;

-- A day at least is always kept, whatever the setting says.
CREATE FUNCTION public.rollout_prune_events(days integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH gone AS (
        DELETE FROM public.application_logs WHERE id IN (
            SELECT old.id FROM public.application_logs AS old
            WHERE old.timestamp < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => GREATEST(days, 1))
            ORDER BY old.timestamp LIMIT 5000
        ) RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION public.rollout_prune_events(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.rollout_prune_events(integer) TO carecollective_web;
"""

REVOKE = """
DROP FUNCTION public.rollout_prune_events(integer);
REVOKE ALL ON public.application_logs FROM carecollective_web, carecollective_guard;
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0008_create_the_flag")]

    operations = [
        migrations.CreateModel(
            name="EventLog",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(unique=True)),
                ("timestamp", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("service", models.TextField()),
                ("method", models.TextField()),
                ("event", models.TextField()),
                ("log_level", models.TextField()),
                ("error_code", models.TextField(null=True)),
                ("version", models.TextField(null=True)),
                ("stage", models.TextField()),
                ("duration_ms", models.FloatField()),
                ("request_id", models.TextField()),
                ("user_id", models.UUIDField(null=True)),
                ("conversation_id", models.UUIDField(null=True)),
                ("help_request_id", models.UUIDField(null=True)),
                ("connection_error", models.BooleanField(default=False)),
            ],
            options={
                "verbose_name": "event",
                "db_table": "application_logs",
                "ordering": ["-timestamp", "-id"],
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["timestamp"], name="application_logs_time"),
                    models.Index(fields=["version", "timestamp"], name="application_logs_version_time"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("event__in", ["success", "error"])), name="application_logs_known_event"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("log_level__in", ["info", "warn", "error"])),
                        name="application_logs_known_level",
                    ),
                ],
            },
        ),
        migrations.RunSQL(GRANT, REVOKE),
    ]
