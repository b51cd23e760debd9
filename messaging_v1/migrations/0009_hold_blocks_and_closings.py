from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """The gate refuses what a block, a closing or a restriction does; no legacy row or policy changes."""

    dependencies = [
        ("messaging_v1", "0008_load_functions"),
        ("safety", "0002_hold_blocks_and_closings"),
    ]

    operations = [
        load_function("messaging_v1", name, version=2)
        for name in ("may_open_legacy_conversation", "may_send_legacy_message")
    ]
