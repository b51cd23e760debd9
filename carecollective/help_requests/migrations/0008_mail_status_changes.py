from django.db import migrations, models

FORWARDS = """
UPDATE help_requests_statuschange SET mailed_at = at;
GRANT UPDATE (mailed_at) ON help_requests_statuschange TO carecollective_web;
"""
BACKWARDS = "REVOKE UPDATE (mailed_at) ON help_requests_statuschange FROM carecollective_web;"


class Migration(migrations.Migration):
    """Which changes of a status were mailed. Earlier ones are news to nobody."""

    dependencies = [("help_requests", "0007_grant_status_changes")]

    operations = [
        migrations.AddField("statuschange", "mailed_at", models.DateTimeField(editable=False, null=True)),
        migrations.RunSQL(FORWARDS, BACKWARDS),
        migrations.AddIndex(
            "statuschange",
            models.Index(fields=["at"], name="help_requests_status_to_mail", condition=models.Q(("mailed_at", None))),
        ),
    ]
