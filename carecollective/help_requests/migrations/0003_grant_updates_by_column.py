from django.db import migrations

FORWARDS = """
REVOKE UPDATE ON help_requests FROM carecollective_web;
GRANT UPDATE (status, completed_at, cancelled_at, expires_at, updated_at)
  ON help_requests TO carecollective_web;
"""

BACKWARDS = """
REVOKE UPDATE ON help_requests FROM carecollective_web;
GRANT UPDATE ON help_requests TO carecollective_web;
"""


class Migration(migrations.Migration):
    """The web role changes the columns that the site changes, and no others."""

    dependencies = [("help_requests", "0002_add_fold_for_search")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
