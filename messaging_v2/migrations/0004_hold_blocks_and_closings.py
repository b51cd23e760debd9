from django.db import migrations

from carecollective.core.sql_functions import load_function

# The tables may have been dropped; whoever makes them again runs this too. Of two people in a conversation, `sender_id` is one.
WHERE_THEY_ARE = """
DO $$ BEGIN
  IF pg_catalog.to_regclass('public.conversations_v2') IS NOT NULL THEN
    {}
  END IF;
END $$;
"""

OPENS = """helper_id = (SELECT public.current_member()) AND status = 'active' AND EXISTS (
    SELECT FROM help_requests r WHERE r.id = conversations_v2.help_request_id
    AND r.user_id = conversations_v2.requester_id AND r.status IN ('open', 'in_progress'))"""
SENDS = """sender_id = (SELECT public.current_member()) AND EXISTS (
    SELECT FROM conversations_v2 c WHERE c.id = messages_v2.conversation_id AND c.status = 'active'
    AND (SELECT public.current_member()) IN (c.requester_id, c.helper_id){})"""
OTHER = "CASE WHEN c.requester_id = messages_v2.sender_id THEN c.helper_id ELSE c.requester_id END"

FORWARDS = f"""
    ALTER POLICY helper_opens ON conversations_v2 WITH CHECK ({OPENS} AND public.may_write_to(requester_id, true));
    ALTER POLICY participants_send ON messages_v2
      WITH CHECK ({SENDS.format(f" AND public.may_write_to({OTHER}, false)")});
    CREATE TRIGGER note_closing BEFORE UPDATE OF status ON conversations_v2
      FOR EACH ROW EXECUTE FUNCTION public.note_closing();
"""
BACKWARDS = f"""
    DROP TRIGGER note_closing ON conversations_v2;
    ALTER POLICY participants_send ON messages_v2 WITH CHECK ({SENDS.format("")});
    ALTER POLICY helper_opens ON conversations_v2 WITH CHECK ({OPENS});
"""


class Migration(migrations.Migration):
    """The database refuses to write to whoever one may not write to, and to open what another has closed."""

    dependencies = [
        ("safety", "0002_hold_blocks_and_closings"),
        ("messaging_v2", "0003_let_members_act_for_themselves_only"),
    ]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, "DROP FUNCTION public.note_closing();"),
        load_function("messaging_v2", "note_closing"),
        migrations.RunSQL("REVOKE EXECUTE ON FUNCTION public.note_closing() FROM PUBLIC;", migrations.RunSQL.noop),
        migrations.RunSQL(WHERE_THEY_ARE.format(FORWARDS), WHERE_THEY_ARE.format(BACKWARDS)),
    ]
