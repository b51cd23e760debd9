-- Count one use of a limited action by a member or a client, unless `times` of them fall into the last `span`. Return the row
-- that counts it (NULL: refused), the seconds until the oldest use is free again, and how many there were before.
-- The lock is held to the end of the transaction: uses at once are counted one after the other. Each statement here sees what
-- was committed before it began, so what came while it waited is counted too.
CREATE OR REPLACE FUNCTION public.core_count_use(who text, what text, times integer, span interval, of_client boolean)
RETURNS TABLE (hit_id bigint, free_in double precision, uses bigint)
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
    oldest timestamptz;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(what || ':' || who, 0));
    IF of_client THEN
        SELECT pg_catalog.min(recent.at), count(*) INTO oldest, uses FROM (
            SELECT hit.at FROM public.core_clientratelimithit AS hit
            WHERE hit.client = who AND hit.action = what AND hit.at > pg_catalog.clock_timestamp() - span
            ORDER BY hit.at DESC LIMIT times) AS recent;
    ELSE
        SELECT pg_catalog.min(recent.at), count(*) INTO oldest, uses FROM (
            SELECT hit.at FROM public.core_ratelimithit AS hit
            WHERE hit.member_id = who::uuid AND hit.action = what AND hit.at > pg_catalog.clock_timestamp() - span
            ORDER BY hit.at DESC LIMIT times) AS recent;
    END IF;
    free_in := extract(epoch FROM oldest + span - pg_catalog.clock_timestamp());
    IF uses < times AND of_client THEN
        INSERT INTO public.core_clientratelimithit (client, action) VALUES (who, what) RETURNING id INTO hit_id;
    ELSIF uses < times THEN
        INSERT INTO public.core_ratelimithit (member_id, action) VALUES (who::uuid, what) RETURNING id INTO hit_id;
    END IF;
    RETURN NEXT;
END
$$;
