-- How the acting member and another stand: blocks either way, whether the other is still a member, and what staff restrict.
-- It waits for a block that is being made, so that nothing arrives after the block.
CREATE OR REPLACE FUNCTION public.safety_standing(other uuid)
RETURNS TABLE (
    blocked_by_me boolean, blocked_by_other boolean, other_is_member boolean, no_offers_until timestamptz,
    no_messages_until timestamptz, daily_limit integer, written_today integer
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    me uuid := public.current_member();
BEGIN
    IF me IS NULL OR other IS NULL THEN
        RETURN;
    END IF;
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended(
        'block:' || LEAST(me, other)::text || GREATEST(me, other)::text, 0));
    SELECT coalesce(pg_catalog.bool_or(b.blocker_id = me), false), coalesce(pg_catalog.bool_or(b.blocker_id = other), false)
    INTO blocked_by_me, blocked_by_other
    FROM public.safety_block AS b
    WHERE b.blocker_id = me AND b.blocked_id = other OR b.blocker_id = other AND b.blocked_id = me;
    other_is_member := EXISTS (SELECT FROM public.profiles AS p WHERE p.id = other AND p.is_active);
    SELECT pg_catalog.max(r.until) FILTER (WHERE r.kind = 'no_offers'),
        pg_catalog.max(r.until) FILTER (WHERE r.kind = 'no_messages'),
        pg_catalog.min(r.daily_limit) FILTER (WHERE r.kind = 'daily_limit')
    INTO no_offers_until, no_messages_until, daily_limit
    FROM public.safety_restriction AS r
    WHERE r.member_id = me AND r.lifted_at IS NULL AND r.until > pg_catalog.clock_timestamp();
    written_today := CASE WHEN daily_limit IS NULL THEN 0 ELSE public.safety_written_today() END;
    RETURN NEXT;
END
$$;
