from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """The stage stays readable where the table of groups is missing."""

    dependencies = [("rollout", "0034_read_testers_with_the_stage")]

    operations = [load_function("rollout", "rollout_testers", version=2)]
