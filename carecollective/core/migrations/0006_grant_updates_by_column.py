from django.db import migrations

FORWARDS = """
REVOKE UPDATE ON core_workerheartbeat FROM carecollective_web;
GRANT UPDATE (beat_at, stuck_tasks)
  ON core_workerheartbeat TO carecollective_web;
"""

BACKWARDS = """
REVOKE UPDATE ON core_workerheartbeat FROM carecollective_web;
GRANT UPDATE ON core_workerheartbeat TO carecollective_web;
"""


class Migration(migrations.Migration):
    """The web role changes the columns that the site changes, and no others."""

    dependencies = [("core", "0005_keep_retention_periods")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
