import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    """A table that the health check writes to, so that it notices a database that takes no writes."""

    dependencies = [("core", "0003_add_stuck_tasks")]

    operations = [
        migrations.CreateModel(
            name="WriteProbe",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("filler", models.TextField()),
            ],
        ),
        migrations.RunSQL(
            """
            -- Neither compressed nor moved elsewhere, a row takes most of a page: a full disk has none left.
            ALTER TABLE core_writeprobe ALTER COLUMN filler SET STORAGE PLAIN;
            GRANT INSERT ON core_writeprobe TO carecollective_web;
            """,
            "REVOKE ALL ON core_writeprobe FROM carecollective_web;",
        ),
    ]
