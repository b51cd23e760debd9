-- The hash of a line of the audit log and of the line before it.
-- rollout/promotion/audit_log.py computes the same hash in Python.
CREATE OR REPLACE FUNCTION public.rollout_change_hash(line public.rollout_change, previous text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
        previous || E'\n' || pg_catalog.string_agg(
            CASE WHEN part IS NULL THEN '-'
                 ELSE pg_catalog.octet_length(pg_catalog.convert_to(part, 'UTF8'))::text || ':' || part END,
            ',' ORDER BY place),
        'UTF8')), 'hex')
    FROM unnest(ARRAY[
        line.id::text,
        pg_catalog.to_char(line.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        line.actor_id::text, line.actor_label, line.source, line.from_stage, line.to_stage,
        line.from_v1_writes::text, line.to_v1_writes::text, line.reason, line.override::text,
        line.database_role, line.flag_version::text
    ]) WITH ORDINALITY AS parts (part, place)
$$;
