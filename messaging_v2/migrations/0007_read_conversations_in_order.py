from django.db import migrations

# The tables may have been dropped; whoever makes them again runs this too.
ALTER = """
DO $$ BEGIN
  IF pg_catalog.to_regclass('public.conversations_v2') IS NOT NULL THEN
    ALTER POLICY participants_read ON conversations_v2 USING ({});
  END IF;
END $$;
"""
# The same condition as a CASE, which PostgreSQL can only check row by row. From OR it expects one row of those that the
# statement's own condition finds, and then collects and sorts all of a member's conversations for one page: 1.2 ms instead of
# 0.2 ms with 2,000 of them.
CASE = """CASE WHEN requester_id = (SELECT public.current_member()) THEN true
          ELSE helper_id = (SELECT public.current_member()) END"""
EITHER = "(SELECT public.current_member()) IN (requester_id, helper_id)"


class Migration(migrations.Migration):
    """The same members read the same conversations, in the order of an index."""

    dependencies = [("messaging_v2", "0006_index_conversations_by_activity")]

    operations = [migrations.RunSQL(ALTER.format(CASE), ALTER.format(EITHER))]
