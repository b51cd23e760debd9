from django.db import migrations

# The tables may have been dropped; whoever makes them again runs this too.
ALTER = """
DO $$ BEGIN
  IF pg_catalog.to_regclass('public.messages_v2') IS NOT NULL THEN
    ALTER POLICY participants_read ON messages_v2 USING ({});
  END IF;
END $$;
"""
# For each message one row by its key. With EXISTS, PostgreSQL may read all conversations of the member first:
# 0.44 ms instead of 0.03 ms with 2,000 of them.
ONE = """(SELECT (SELECT public.current_member()) IN (c.requester_id, c.helper_id)
          FROM conversations_v2 c WHERE c.id = messages_v2.conversation_id)"""
ANY = """EXISTS (SELECT FROM conversations_v2 c WHERE c.id = messages_v2.conversation_id
         AND (SELECT public.current_member()) IN (c.requester_id, c.helper_id))"""


class Migration(migrations.Migration):
    """The same members read the same messages, with one conversation looked up instead of all of theirs."""

    dependencies = [("messaging_v2", "0004_hold_blocks_and_closings")]

    operations = [migrations.RunSQL(ALTER.format(ONE), ALTER.format(ANY))]
