-- Trigger: add an audit entry for a new or changed row. It keeps a digest of the row, and none of its words.
-- The lock is the audit log's own: with a second one, an erasure and an approval could wait for each other.
CREATE OR REPLACE FUNCTION public.rollout_write_audit_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET timezone = 'UTC' AS $$
DECLARE
    content jsonb := pg_catalog.to_jsonb(NEW) - COALESCE(TG_ARGV, '{}');
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(7262011);
    INSERT INTO public.rollout_audit_entry (at, table_name, row_id, columns, digest, hash) VALUES (
        pg_catalog.clock_timestamp(), TG_TABLE_NAME, NEW.id,
        (SELECT pg_catalog.string_agg(key, ',' ORDER BY key COLLATE "C") FROM pg_catalog.jsonb_object_keys(content) AS key),
        pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(content::text, 'UTF8')), 'hex'), '');
    RETURN NULL;
END
$$;
