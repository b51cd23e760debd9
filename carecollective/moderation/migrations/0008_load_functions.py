from django.db import migrations

from carecollective.core.sql_functions import load_function

FUNCTIONS = (
    "acts_as_staff",
    "moderation_legacy_reports",
    "moderation_note_look",
    "moderation_require_staff",
    "moderation_show",
)


class Migration(migrations.Migration):
    """The functions as earlier migrations have left them, from now on in files: nothing in the database changes."""

    dependencies = [("moderation", "0007_read_reports_of_any_text_type")]

    operations = [load_function("moderation", name) for name in FUNCTIONS]
