from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("help_requests", "0006_status_changes")]

    operations = [
        migrations.RunSQL(
            "GRANT SELECT, INSERT ON help_requests_statuschange TO carecollective_web;",
            "REVOKE ALL ON help_requests_statuschange FROM carecollective_web;",
        ),
    ]
