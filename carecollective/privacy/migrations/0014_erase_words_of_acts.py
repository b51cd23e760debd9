from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """What staff wrote about a member goes with the member; that they acted stays on record."""

    dependencies = [
        ("privacy", "0013_erase_messages_to_staff"),
        ("moderation", "0011_hold_acts_to_staff"),
    ]

    operations = [load_function("privacy", "privacy_scrub_member", version=4)]
