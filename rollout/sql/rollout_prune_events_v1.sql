-- Delete up to 5,000 events that are older than the retention period; return how many.
CREATE OR REPLACE FUNCTION public.rollout_prune_events() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH gone AS (
        DELETE FROM public.application_logs WHERE id IN (
            SELECT old.id FROM public.application_logs AS old
            WHERE old.timestamp < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => (SELECT r.days FROM public.core_retentionperiod AS r WHERE r.kind = 'events'))
            ORDER BY old.timestamp LIMIT 5000
        ) RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
