import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import carecollective.core.database


class Migration(migrations.Migration):
    """The shared count of limited actions, and the worker's sign of life."""

    dependencies = [
        ("core", "0001_name_the_acting_member"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkerHeartbeat",
            fields=[
                (
                    "name",
                    models.CharField(max_length=40, primary_key=True, serialize=False),
                ),
                (
                    "beat_at",
                    models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp()),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RateLimitHit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("action", models.CharField(max_length=40)),
                (
                    "at",
                    models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp()),
                ),
                (
                    "member",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["member", "action", "at"], name="rate_limit_by_member")]},
        ),
        migrations.RunSQL(
            """
            GRANT SELECT, INSERT, UPDATE ON core_workerheartbeat TO carecollective_web;
            GRANT SELECT, INSERT, DELETE ON core_ratelimithit TO carecollective_web;
            """,
            """
            REVOKE ALL ON core_workerheartbeat FROM carecollective_web;
            REVOKE ALL ON core_ratelimithit FROM carecollective_web;
            """,
        ),
    ]
