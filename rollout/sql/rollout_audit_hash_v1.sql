-- The hash of an audit entry and of the entry before it.
CREATE OR REPLACE FUNCTION public.rollout_audit_hash(entry public.rollout_audit_entry, previous text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(E'\n',
        previous, entry.id, pg_catalog.to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        entry.table_name, entry.row_id, entry.columns, entry.digest), 'UTF8')), 'hex')
$$;
