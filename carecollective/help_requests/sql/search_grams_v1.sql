-- What can be looked up of a text, as a search sees it: each piece of one, two and three characters.
-- An index of these finds any part of a word, as pg_trgm does, and needs no extension: the embedded server has none.
-- A separator is put behind every second or third character, from each character on: faster than one piece at a time.
CREATE OR REPLACE FUNCTION public.search_grams(words text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
DECLARE
    folded text := public.fold_for_search(words);
BEGIN
    RETURN pg_catalog.string_to_array(folded, NULL)
        || pg_catalog.string_to_array(pg_catalog.regexp_replace(folded, '(..)', E'\\1\x01', 'g'), E'\x01')
        || pg_catalog.string_to_array(pg_catalog.regexp_replace(pg_catalog.substr(folded, 2), '(..)', E'\\1\x01', 'g'), E'\x01')
        || pg_catalog.string_to_array(pg_catalog.regexp_replace(folded, '(...)', E'\\1\x01', 'g'), E'\x01')
        || pg_catalog.string_to_array(pg_catalog.regexp_replace(pg_catalog.substr(folded, 2), '(...)', E'\\1\x01', 'g'), E'\x01')
        || pg_catalog.string_to_array(pg_catalog.regexp_replace(pg_catalog.substr(folded, 3), '(...)', E'\\1\x01', 'g'), E'\x01');
END
$$;
