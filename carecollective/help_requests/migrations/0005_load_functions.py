from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """The functions as earlier migrations have left them, from now on in files: nothing in the database changes."""

    dependencies = [("help_requests", "0004_read_requests_past_legacy_policies")]

    operations = [load_function("help_requests", "fold_for_search")]
