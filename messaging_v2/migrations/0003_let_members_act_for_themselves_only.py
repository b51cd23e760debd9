from django.db import migrations

# `(SELECT current_member())` is asked once a statement, not once a row.
FORWARDS = """
CREATE POLICY participants_read ON conversations_v2 FOR SELECT TO carecollective_web
  USING ((SELECT public.current_member()) IN (requester_id, helper_id));
CREATE POLICY helper_opens ON conversations_v2 FOR INSERT TO carecollective_web
  WITH CHECK (helper_id = (SELECT public.current_member()) AND status = 'active' AND EXISTS (
    SELECT FROM help_requests r WHERE r.id = conversations_v2.help_request_id
    AND r.user_id = conversations_v2.requester_id AND r.status IN ('open', 'in_progress')));
CREATE POLICY participants_close ON conversations_v2 FOR UPDATE TO carecollective_web
  USING ((SELECT public.current_member()) IN (requester_id, helper_id))
  WITH CHECK ((SELECT public.current_member()) IN (requester_id, helper_id));
CREATE POLICY participants_read ON messages_v2 FOR SELECT TO carecollective_web
  USING (EXISTS (SELECT FROM conversations_v2 c WHERE c.id = messages_v2.conversation_id
                 AND (SELECT public.current_member()) IN (c.requester_id, c.helper_id)));
CREATE POLICY participants_send ON messages_v2 FOR INSERT TO carecollective_web
  WITH CHECK (sender_id = (SELECT public.current_member()) AND EXISTS (
    SELECT FROM conversations_v2 c WHERE c.id = messages_v2.conversation_id AND c.status = 'active'
    AND (SELECT public.current_member()) IN (c.requester_id, c.helper_id)));

GRANT SELECT, INSERT ON conversations_v2, messages_v2 TO carecollective_web;
-- Who takes part, about what, and what was first said never change; locking needs a column that may.
GRANT UPDATE (status, updated_at) ON conversations_v2 TO carecollective_web;
"""

BACKWARDS = """
REVOKE ALL ON conversations_v2, messages_v2 FROM carecollective_web;
DROP POLICY participants_send ON messages_v2;
DROP POLICY participants_read ON messages_v2;
DROP POLICY participants_close ON conversations_v2;
DROP POLICY helper_opens ON conversations_v2;
DROP POLICY participants_read ON conversations_v2;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0001_name_the_acting_member"),
        ("messaging_v2", "0002_force_row_level_security"),
    ]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
