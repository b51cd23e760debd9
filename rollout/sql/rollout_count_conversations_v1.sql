-- How many conversations each version holds, for roles that may read none: only numbers leave this function.
-- It belongs to the operations role, which may read all.
CREATE OR REPLACE FUNCTION public.rollout_count_conversations(hours integer)
RETURNS TABLE (
    version text, active bigint, new_this_week bigint, new bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    IF pg_catalog.to_regclass('public.conversations_v2') IS NULL THEN
        RETURN QUERY
        SELECT known.version, pg_catalog.count(c.id) FILTER (WHERE c.status = 'active'),
            pg_catalog.count(c.id) FILTER (
                WHERE c.status = 'active' AND c.created_at > pg_catalog.clock_timestamp() - interval '7 days'),
            pg_catalog.count(c.id) FILTER (
                WHERE c.created_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(hours => hours))
        FROM (VALUES ('v1'), ('v2')) AS known (version) LEFT JOIN public.conversations AS c ON known.version = 'v1'
        GROUP BY known.version;
        RETURN;
    END IF;
    RETURN QUERY WITH conversation AS (
        SELECT 'v1' AS version, status, created_at FROM public.conversations
        UNION ALL
        SELECT 'v2', status, created_at FROM public.conversations_v2
    )
    SELECT known.version, pg_catalog.count(*) FILTER (WHERE status = 'active'),
        pg_catalog.count(*) FILTER (
            WHERE status = 'active' AND created_at > pg_catalog.clock_timestamp() - interval '7 days'),
        pg_catalog.count(*) FILTER (
            WHERE created_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(hours => hours))
    FROM (VALUES ('v1'), ('v2')) AS known (version) LEFT JOIN conversation USING (version)
    GROUP BY known.version;
END
$$;
