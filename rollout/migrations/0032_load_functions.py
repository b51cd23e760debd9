from django.db import migrations

from carecollective.core.sql_functions import load_function

FUNCTIONS = (
    "rollout_adopt_rollback",
    "rollout_approved",
    "rollout_audit_hash",
    "rollout_broken_conversations",
    "rollout_chain_audit_entry",
    "rollout_chain_change",
    "rollout_change_hash",
    "rollout_count_conversations",
    "rollout_is_proven",
    "rollout_number_change",
    "rollout_open_root_cause",
    "rollout_prune_events",
    "rollout_record_change",
    "rollout_refuse_before_rollback",
    "rollout_refuse_rewriting",
    "rollout_refuse_settling_again",
    "rollout_staff_may",
    "rollout_stage_order",
    "rollout_write_audit_entry",
)


class Migration(migrations.Migration):
    """The functions as earlier migrations have left them, from now on in files: nothing in the database changes."""

    dependencies = [("rollout", "0031_add_delivery_requested_by_id")]

    operations = [load_function("rollout", name) for name in FUNCTIONS]
