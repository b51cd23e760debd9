from django.db import migrations


class Migration(migrations.Migration):
    """Forced, so that even the owner sees nothing by accident; operations have a bypassing role of their own."""

    dependencies = [("messaging_v2", "0001_open_conversations_with_their_first_message")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY;",
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;",
        )
        for table in ("conversations_v2", "messages_v2")
    ]
