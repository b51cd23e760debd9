-- Everything the acting member said in V1, for their export: also in conversations that they left.
-- `has_left` says which those are. The legacy system's own messages are left out.
CREATE OR REPLACE FUNCTION public.privacy_own_legacy_messages()
RETURNS TABLE (
    id uuid, conversation_id uuid, content text, created_at timestamptz, has_left boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT m.id, m.conversation_id, m.content, m.created_at, NOT EXISTS (
        SELECT FROM public.conversation_participants AS p
        WHERE p.conversation_id = m.conversation_id AND p.user_id = m.sender_id AND p.left_at IS NULL)
    FROM public.messages AS m WHERE m.sender_id = public.current_member() AND m.message_type = 'text' ORDER BY m.created_at, m.id
$$;
