from django.db import migrations, models

import carecollective.core.database

FORWARDS = """
GRANT SELECT (id, client, action, at), INSERT (client, action), DELETE ON core_clientratelimithit TO carecollective_web;
"""
BACKWARDS = "REVOKE ALL ON core_clientratelimithit FROM carecollective_web;"


class Migration(migrations.Migration):
    """Count limited actions by the client's IP address, of which only a keyed hash is kept."""

    dependencies = [("core", "0006_grant_updates_by_column")]

    operations = [
        migrations.CreateModel(
            name="ClientRateLimitHit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client", models.CharField(max_length=32)),
                ("action", models.CharField(max_length=40)),
                ("at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
            ],
            options={"indexes": [models.Index(fields=["client", "action", "at"], name="rate_limit_by_client")]},
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
