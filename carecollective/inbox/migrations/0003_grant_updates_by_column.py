from django.db import migrations

FORWARDS = """
REVOKE UPDATE ON inbox_notification FROM carecollective_web;
GRANT UPDATE (settled_at)
  ON inbox_notification TO carecollective_web;
REVOKE UPDATE ON inbox_readpointer FROM carecollective_web;
GRANT UPDATE (read_to)
  ON inbox_readpointer TO carecollective_web;
"""

BACKWARDS = """
REVOKE UPDATE ON inbox_notification FROM carecollective_web;
GRANT UPDATE ON inbox_notification TO carecollective_web;
REVOKE UPDATE ON inbox_readpointer FROM carecollective_web;
GRANT UPDATE ON inbox_readpointer TO carecollective_web;
"""


class Migration(migrations.Migration):
    """The web role changes the columns that the site changes, and no others."""

    dependencies = [("inbox", "0002_grant_the_web_its_inbox")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
