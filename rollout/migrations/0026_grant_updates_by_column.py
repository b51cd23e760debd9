from django.db import migrations

FORWARDS = """
REVOKE UPDATE ON rollout_delivery, rollout_process FROM carecollective_web;
GRANT UPDATE (attempts, next_try_at, delivered_at, failed_at, error) ON rollout_delivery TO carecollective_web;
GRANT UPDATE (flag_version, switched_at, seen_at, backend_pid, held_off) ON rollout_process TO carecollective_web;
"""

BACKWARDS = """
REVOKE UPDATE ON rollout_delivery, rollout_process FROM carecollective_web;
GRANT UPDATE ON rollout_delivery, rollout_process TO carecollective_web;
"""


class Migration(migrations.Migration):
    """The web role changes the columns that the site changes, and no others."""

    dependencies = [("rollout", "0025_open_one_root_cause_for_a_flap")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
