-- How much the acting member has written within a day: offers and messages of both versions.
-- It belongs to the operations role, because V2's policies hold for the tables' owner too.
CREATE OR REPLACE FUNCTION public.safety_written_today() RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    me uuid := public.current_member();
    since timestamptz := pg_catalog.clock_timestamp() - interval '1 day';
    written integer;
BEGIN
    SELECT count(*) INTO written FROM public.messages AS m WHERE m.sender_id = me AND m.created_at > since;
    IF pg_catalog.to_regclass('public.conversations_v2') IS NOT NULL
        AND pg_catalog.to_regclass('public.messages_v2') IS NOT NULL THEN
        written := written
            + (SELECT count(*) FROM public.conversations_v2 AS c WHERE c.helper_id = me AND c.created_at > since)
            + (SELECT count(*) FROM public.messages_v2 AS m WHERE m.sender_id = me AND m.created_at > since);
    END IF;
    RETURN written;
END
$$;
