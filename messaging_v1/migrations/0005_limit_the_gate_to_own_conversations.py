from django.db import migrations

# What the policies on writing ask lives in functions of the owner's. A policy that reads another table is held by that
# table's legacy policies too: one that reads back would be an endless recursion, and nobody could send.
FUNCTIONS = """
CREATE FUNCTION public.may_open_legacy_conversation(help_request uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM public.help_requests r
    WHERE r.id = help_request AND r.user_id <> public.current_member() AND r.status IN ('open', 'in_progress'))
$$;
CREATE FUNCTION public.may_send_legacy_message(conversation uuid, recipient uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT recipient <> public.current_member() AND EXISTS (
    SELECT FROM public.conversations c
    JOIN public.conversation_participants me ON me.conversation_id = c.id
    JOIN public.conversation_participants other ON other.conversation_id = c.id
    WHERE c.id = conversation AND c.status = 'active'
      AND me.user_id = public.current_member() AND me.left_at IS NULL
      AND other.user_id = recipient AND other.left_at IS NULL)
$$;
REVOKE EXECUTE ON FUNCTION public.may_open_legacy_conversation(uuid), public.may_send_legacy_message(uuid, uuid)
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.may_open_legacy_conversation(uuid), public.may_send_legacy_message(uuid, uuid)
  TO carecollective_web;
"""

DROP_FUNCTIONS = """
DROP FUNCTION public.may_send_legacy_message(uuid, uuid);
DROP FUNCTION public.may_open_legacy_conversation(uuid);
"""

OPENS = (
    "created_by = (SELECT public.current_member()) AND status = 'active'"
    " AND public.may_open_legacy_conversation(help_request_id)"
)
SENDS = (
    "sender_id = (SELECT public.current_member()) AND message_type = 'text'"
    " AND public.may_send_legacy_message(conversation_id, recipient_id)"
)
JOINS = "left_at IS NULL AND role = 'member' AND public.opens_legacy_conversation_to(conversation_id, user_id)"

# As they were made in 0002.
OPENED_BEFORE = """created_by = (SELECT public.current_member()) AND status = 'active' AND EXISTS (
    SELECT FROM help_requests r WHERE r.id = conversations.help_request_id
    AND r.user_id <> (SELECT public.current_member()) AND r.status IN ('open', 'in_progress'))"""
SENT_BEFORE = """sender_id = (SELECT public.current_member()) AND message_type = 'text'
    AND EXISTS (SELECT FROM conversations c WHERE c.id = messages.conversation_id AND c.status = 'active')
    AND EXISTS (SELECT FROM conversation_participants p WHERE p.conversation_id = messages.conversation_id
                AND p.user_id = messages.recipient_id AND p.user_id <> messages.sender_id AND p.left_at IS NULL)"""

# As it was made in 0004.
GATEWAY_IS_SILENT = (
    "NULLIF(current_setting('request.jwt.claims', true), '') IS NULL"
    " AND NULLIF(current_setting('request.jwt.claim.sub', true), '') IS NULL"
)
MINE = "IN (SELECT public.my_legacy_conversations())"
ROWS = {
    # table: what may be seen and changed, what may be written
    # A conversation is written when it is opened, and again by the legacy trigger with each message.
    "conversations": (f"id {MINE}", f"id {MINE} OR ({OPENS})"),
    "conversation_participants": (f"conversation_id {MINE}", JOINS),
    "messages": (f"conversation_id {MINE}", SENDS),
}


def alter(policy: str, table: str, check: str) -> str:
    return f"ALTER POLICY {policy} ON {table} WITH CHECK ({check});"


def limit(table: str, rows: str, written: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"ALTER POLICY carecollective_gate ON {table} USING ({GATEWAY_IS_SILENT} AND {rows})"
        f" WITH CHECK ({GATEWAY_IS_SILENT} AND ({written}));",
        # Made anew, because ALTER POLICY cannot take a check away.
        f"DROP POLICY carecollective_gate ON {table};"
        f"CREATE POLICY carecollective_gate ON {table} AS RESTRICTIVE TO carecollective_web USING ({GATEWAY_IS_SILENT});",
    )


class Migration(migrations.Migration):
    """The gate limits our web role to its member's own rows, whatever a legacy policy would add.

    Permissive policies are joined by OR. A legacy one for everybody that says `true` would show all conversations.
    """

    dependencies = [("messaging_v1", "0004_shut_its_older_spelling_too")]

    operations = [
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(
            alter("carecollective_open", "conversations", OPENS) + alter("carecollective_send", "messages", SENDS),
            alter("carecollective_open", "conversations", OPENED_BEFORE)
            + alter("carecollective_send", "messages", SENT_BEFORE),
        ),
        *(limit(table, *conditions) for table, conditions in ROWS.items()),
    ]
