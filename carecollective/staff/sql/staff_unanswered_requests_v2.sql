-- The open requests that nobody has offered help with for a day, for staff: which they are, and nothing of a conversation.
-- A legacy conversation without a message is none. Requests of somebody who is no member at the moment are on no list that members
-- see, and not on this one. It belongs to the operations role, which may read all.
CREATE OR REPLACE FUNCTION public.staff_unanswered_requests()
RETURNS TABLE (
    id uuid, created_at timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    offered_in_v2 text := '';
BEGIN
    PERFORM public.moderation_require_staff();
    IF pg_catalog.to_regclass('public.conversations_v2') IS NOT NULL THEN
        offered_in_v2 := ' AND NOT EXISTS (SELECT FROM public.conversations_v2 AS c WHERE c.help_request_id = r.id)';
    END IF;
    RETURN QUERY EXECUTE
        'SELECT r.id, r.created_at FROM public.help_requests AS r JOIN public.profiles AS owner ON owner.id = r.user_id'
        ' WHERE r.status::text = ''open'' AND owner.is_active AND r.created_at < pg_catalog.clock_timestamp() - interval ''1 day'''
        '  AND NOT EXISTS (SELECT FROM public.conversations AS c JOIN public.messages AS m ON m.conversation_id = c.id'
        '                  WHERE c.help_request_id = r.id)' || offered_in_v2;
END
$$;
