from django.db import migrations

FORWARDS = """
REVOKE UPDATE ON mail_outgoingmail FROM carecollective_web;
GRANT UPDATE (state, attempts, first_tried_at, last_tried_at, next_try_at, settled_at, error)
  ON mail_outgoingmail TO carecollective_web;
"""

BACKWARDS = """
REVOKE UPDATE ON mail_outgoingmail FROM carecollective_web;
GRANT UPDATE ON mail_outgoingmail TO carecollective_web;
"""


class Migration(migrations.Migration):
    """The web role changes the columns that the site changes, and no others."""

    dependencies = [("mail", "0001_outgoing_mail")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
