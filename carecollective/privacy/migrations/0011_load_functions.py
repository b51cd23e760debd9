from django.db import migrations

from carecollective.core.sql_functions import load_function

FUNCTIONS = (
    "privacy_blank_columns",
    "privacy_changes_of",
    "privacy_erase_member",
    "privacy_erased_text",
    "privacy_exports_under_way",
    "privacy_own_legacy_messages",
    "privacy_own_legacy_reports",
    "privacy_prune_exports",
    "privacy_refuse_rewording",
    "privacy_rollout_traces",
    "privacy_scrub_member",
    "privacy_scrub_v2",
    "privacy_unname",
    "privacy_unname_in_rollout",
)


class Migration(migrations.Migration):
    """The functions as earlier migrations have left them, from now on in files: nothing in the database changes."""

    dependencies = [("privacy", "0010_take_a_name_out_of_alerts")]

    operations = [load_function("privacy", name) for name in FUNCTIONS]
