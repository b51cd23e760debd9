-- Take a member's name and address out of a text.
-- Whole words only: erasing an Ann must not cut her out of every Annabel.
CREATE OR REPLACE FUNCTION public.privacy_unname(words text, old_name text, old_email text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE WHEN pg_catalog.btrim(COALESCE(old_name, '')) = '' THEN without.words
        ELSE pg_catalog.regexp_replace(
            without.words, '(?<!\w)' || pg_catalog.regexp_replace(old_name, '([^\w\s])', '\\\1', 'g') || '(?!\w)',
            'Former member', 'g') END
    FROM (SELECT CASE WHEN old_email IS NULL THEN words ELSE pg_catalog.regexp_replace(
        words, '(?<![\w.+-])' || pg_catalog.regexp_replace(old_email, '([^\w\s])', '\\\1', 'g') || '(?![\w-])',
        'former member', 'gi') END AS words) AS without
$$;
