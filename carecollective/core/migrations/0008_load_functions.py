from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """The functions as earlier migrations have left them, from now on in files: nothing in the database changes."""

    dependencies = [("core", "0007_count_by_client")]

    operations = [load_function("core", "current_member")]
