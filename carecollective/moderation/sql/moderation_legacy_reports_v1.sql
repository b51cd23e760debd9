-- The legacy system's own reports, where it left any, for staff. Read only: nothing changes them.
-- A legacy system's own message has no author. Reasons and messages may be of enumerated types or varchar there.
CREATE OR REPLACE FUNCTION public.moderation_legacy_reports()
RETURNS TABLE (
    id uuid, conversation_id uuid, message_id uuid, reporter_id uuid, author_id uuid, reason text, words text,
    status text, created_at timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM public.moderation_require_staff();
    IF pg_catalog.to_regclass('public.message_reports') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT r.id, m.conversation_id, r.message_id, r.reported_by, CASE WHEN coalesce(m.message_type::text, ''text'') = ''text'' THEN m.sender_id END, r.reason::text, coalesce(r.description::text, ''''),'
        ' coalesce(r.status::text, ''pending''), r.created_at'
        ' FROM public.message_reports AS r JOIN public.messages AS m ON m.id = r.message_id';
END
$$;
