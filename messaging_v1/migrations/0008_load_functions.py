from django.db import migrations

from carecollective.core.sql_functions import load_function

FUNCTIONS = (
    "may_open_legacy_conversation",
    "may_send_legacy_message",
    "my_legacy_conversations",
    "opens_legacy_conversation_to",
)


class Migration(migrations.Migration):
    """The functions as earlier migrations have left them, from now on in files: nothing in the database changes."""

    dependencies = [("messaging_v1", "0007_send_into_conversations_without_status")]

    operations = [load_function("messaging_v1", name) for name in FUNCTIONS]
