-- Write the assignments that empty every column of a table that can hold text, but for those in `kept`.
-- `verification_status` is never among them: erasure sets it by name, and one statement cannot set a column twice.
CREATE OR REPLACE FUNCTION public.privacy_blank_columns(place regclass, kept text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT pg_catalog.string_agg(pg_catalog.format('%I = %s', a.attname, CASE
        WHEN NOT a.attnotnull THEN 'NULL' WHEN t.typname IN ('json', 'jsonb') THEN '''{}''' ELSE '''''' END), ', ')
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = place AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
      AND a.attname <> ALL (kept || 'verification_status'::text)
      AND (t.typcategory IN ('S', 'A', 'I') OR t.typname IN ('json', 'jsonb', 'bytea', 'xml'))
$$;
