from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """Let PostgreSQL write the acting member into each query, instead of calling a function for it."""

    dependencies = [("core", "0009_count_uses_in_one_statement")]

    operations = [load_function("core", "current_member", version=2)]
