-- Delete exports that are older than the retention period; return how many.
CREATE OR REPLACE FUNCTION public.privacy_prune_exports() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH old AS (
        SELECT e.id FROM public.privacy_export AS e WHERE COALESCE(e.ready_at, e.requested_at)
            < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => (SELECT r.days FROM public.core_retentionperiod AS r WHERE r.kind = 'exports'))
    ), files AS (
        DELETE FROM public.privacy_exportfile WHERE export_id IN (SELECT id FROM old)
    ), gone AS (
        DELETE FROM public.privacy_export WHERE id IN (SELECT id FROM old) RETURNING 1
    )
    SELECT pg_catalog.count(*) FROM gone
$$;
