-- Show the reported message and up to five messages before and after it, to the member of staff who noted the look.
-- For ten minutes: after that, reloading a page that was left on a screen shows nothing.
CREATE OR REPLACE FUNCTION public.moderation_show(report uuid, look bigint)
RETURNS TABLE (
    place integer, sender_id uuid, content text, created_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    staff uuid := public.moderation_require_staff();
    wanted record;
    said text;
BEGIN
    -- A report of a person shows nobody's messages.
    IF EXISTS (SELECT FROM public.moderation_report AS r WHERE r.id = report AND r.about <> 'message') THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM public.moderation_look AS l WHERE l.id = look AND l.report_id = report
                   AND l.staff_id = staff AND l.at > pg_catalog.clock_timestamp() - interval '10 minutes') THEN
        RETURN;
    END IF;
    SELECT r.version, r.conversation_id, r.message_id INTO wanted
    FROM public.moderation_report AS r WHERE r.id = report;
    IF NOT FOUND THEN
        SELECT 'v1' AS version, r.conversation_id, r.message_id INTO wanted
        FROM public.moderation_legacy_reports() AS r WHERE r.id = report;
    END IF;
    IF wanted.version = 'v1' THEN
        said := 'SELECT m.id, CASE WHEN coalesce(m.message_type::text, ''text'') = ''text'' THEN m.sender_id END AS sender_id, m.content::text, m.created_at'
            ' FROM public.messages AS m WHERE m.conversation_id = $1';
    ELSIF pg_catalog.to_regclass('public.conversations_v2') IS NULL THEN
        RETURN;
    ELSE
        said := 'SELECT m.id, m.sender_id, m.content, m.created_at FROM public.messages_v2 AS m WHERE m.conversation_id = $1'
            ' UNION ALL SELECT NULL, c.helper_id, c.initial_message, c.created_at FROM public.conversations_v2 AS c'
            ' WHERE c.id = $1';
    END IF;
    -- The opening of a V2 conversation comes first, whatever the clock said.
    RETURN QUERY EXECUTE
        'WITH message AS (' || said || '), numbered AS ('
        '  SELECT message.*, pg_catalog.row_number() OVER ('
        '    ORDER BY message.id IS NOT NULL, message.created_at, message.id)::integer AS number FROM message)'
        ' SELECT n.number - reported.number, n.sender_id, n.content, n.created_at FROM numbered AS n'
        ' JOIN numbered AS reported ON reported.id IS NOT DISTINCT FROM $2'
        ' WHERE n.number BETWEEN reported.number - 5 AND reported.number + 5 ORDER BY n.number'
    USING wanted.conversation_id, wanted.message_id;
END
$$;
