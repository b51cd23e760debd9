from django.db import migrations

# As they were made in 0002 and 0005.
MINE = "IN (SELECT public.my_legacy_conversations())"
BEFORE = {
    ("conversations", "carecollective_read"): f"USING (id {MINE})",
    ("conversations", "carecollective_bump"): f"USING (id {MINE})",
    ("conversations", "carecollective_open"): (
        "WITH CHECK (created_by = (SELECT public.current_member()) AND status = 'active'"
        " AND public.may_open_legacy_conversation(help_request_id))"
    ),
    ("conversation_participants", "carecollective_read"): f"USING (conversation_id {MINE})",
    ("conversation_participants", "carecollective_join"): (
        "WITH CHECK (left_at IS NULL AND role = 'member'"
        " AND public.opens_legacy_conversation_to(conversation_id, user_id))"
    ),
    ("messages", "carecollective_read"): f"USING (conversation_id {MINE})",
    ("messages", "carecollective_send"): (
        "WITH CHECK (sender_id = (SELECT public.current_member()) AND message_type = 'text'"
        " AND public.may_send_legacy_message(conversation_id, recipient_id))"
    ),
}


def alter(table: str, policy: str, clause: str) -> str:
    return f"ALTER POLICY {policy} ON {table} {clause};"


class Migration(migrations.Migration):
    """Our permissive policies say `true`, and the gate, which restricts, holds every limit.

    The server joins permissive policies by OR and drops all the others where one is the word `true`. So no function that a
    legacy policy calls, and no table that it reads, can refuse our role or fail.
    """

    dependencies = [("messaging_v1", "0005_limit_the_gate_to_own_conversations")]

    operations = [
        migrations.RunSQL(
            alter(table, policy, f"{before.partition('(')[0]}(true)"),
            alter(table, policy, before),
        )
        for (table, policy), before in BEFORE.items()
    ]
