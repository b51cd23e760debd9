from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """A member who leaves takes their blocks along, and those of them."""

    dependencies = [
        ("privacy", "0011_load_functions"),
        ("safety", "0002_hold_blocks_and_closings"),
    ]

    operations = [load_function("privacy", "privacy_scrub_member", version=2)]
