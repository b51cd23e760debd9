"""The legacy system put a member's id on what it wrote by itself. What a member said is what they wrote."""

from django.db import migrations

# As it was made in 0002, but for its condition.
OWN_WORDS = """
CREATE OR REPLACE FUNCTION public.privacy_own_legacy_messages()
RETURNS TABLE (id uuid, conversation_id uuid, content text, created_at timestamptz, has_left boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT m.id, m.conversation_id, m.content, m.created_at, NOT EXISTS (
        SELECT FROM public.conversation_participants AS p
        WHERE p.conversation_id = m.conversation_id AND p.user_id = m.sender_id AND p.left_at IS NULL)
    FROM public.messages AS m WHERE {condition} ORDER BY m.created_at, m.id
$$;
"""
FORWARDS = OWN_WORDS.format(condition="m.sender_id = public.current_member() AND m.message_type = 'text'")
BACKWARDS = OWN_WORDS.format(condition="m.sender_id = public.current_member()")


class Migration(migrations.Migration):
    dependencies = [("privacy", "0003_let_a_member_be_erased_in_place")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
