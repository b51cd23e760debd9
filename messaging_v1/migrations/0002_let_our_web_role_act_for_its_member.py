from django.db import migrations

# The legacy policies know only the legacy gateway's auth.uid() and stay as they are. These stand beside them, for our web
# role alone, on the acting member. A policy cannot ask its own table who takes part, so two functions of the owner's do.
FORWARDS = """
CREATE FUNCTION public.my_legacy_conversations() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT conversation_id FROM public.conversation_participants WHERE user_id = public.current_member() AND left_at IS NULL
$$;
CREATE FUNCTION public.opens_legacy_conversation_to(conversation uuid, member uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM public.conversations c JOIN public.help_requests r ON r.id = c.help_request_id
    WHERE c.id = conversation AND c.created_by = public.current_member() AND member IN (c.created_by, r.user_id))
$$;
REVOKE EXECUTE ON FUNCTION public.my_legacy_conversations(), public.opens_legacy_conversation_to(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.my_legacy_conversations(), public.opens_legacy_conversation_to(uuid, uuid) TO carecollective_web;

GRANT SELECT, INSERT ON conversations, conversation_participants, messages TO carecollective_web;
-- The legacy trigger runs as whoever inserts, and these two columns are what it keeps.
GRANT UPDATE (last_message_at, updated_at) ON conversations TO carecollective_web;

CREATE POLICY carecollective_read ON conversations FOR SELECT TO carecollective_web
  USING (id IN (SELECT public.my_legacy_conversations()));
CREATE POLICY carecollective_open ON conversations FOR INSERT TO carecollective_web
  WITH CHECK (created_by = (SELECT public.current_member()) AND status = 'active' AND EXISTS (
    SELECT FROM help_requests r WHERE r.id = conversations.help_request_id
    AND r.user_id <> (SELECT public.current_member()) AND r.status IN ('open', 'in_progress')));
CREATE POLICY carecollective_bump ON conversations FOR UPDATE TO carecollective_web
  USING (id IN (SELECT public.my_legacy_conversations()));
CREATE POLICY carecollective_read ON conversation_participants FOR SELECT TO carecollective_web
  USING (conversation_id IN (SELECT public.my_legacy_conversations()));
CREATE POLICY carecollective_join ON conversation_participants FOR INSERT TO carecollective_web
  WITH CHECK (left_at IS NULL AND role = 'member' AND public.opens_legacy_conversation_to(conversation_id, user_id));
CREATE POLICY carecollective_read ON messages FOR SELECT TO carecollective_web
  USING (conversation_id IN (SELECT public.my_legacy_conversations()));
CREATE POLICY carecollective_send ON messages FOR INSERT TO carecollective_web
  WITH CHECK (sender_id = (SELECT public.current_member()) AND message_type = 'text'
    AND EXISTS (SELECT FROM conversations c WHERE c.id = messages.conversation_id AND c.status = 'active')
    AND EXISTS (SELECT FROM conversation_participants p WHERE p.conversation_id = messages.conversation_id
                AND p.user_id = messages.recipient_id AND p.user_id <> messages.sender_id AND p.left_at IS NULL));
"""

BACKWARDS = """
DROP POLICY carecollective_send ON messages;
DROP POLICY carecollective_read ON messages;
DROP POLICY carecollective_join ON conversation_participants;
DROP POLICY carecollective_read ON conversation_participants;
DROP POLICY carecollective_bump ON conversations;
DROP POLICY carecollective_open ON conversations;
DROP POLICY carecollective_read ON conversations;
REVOKE ALL ON conversations, conversation_participants, messages FROM carecollective_web;
DROP FUNCTION public.opens_legacy_conversation_to(uuid, uuid);
DROP FUNCTION public.my_legacy_conversations();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0001_name_the_acting_member"),
        ("messaging_v1", "0001_stand_on_the_legacy_tables"),
    ]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
