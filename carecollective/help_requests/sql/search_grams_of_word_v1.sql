-- The pieces of three characters that a text has if it contains the word; of a shorter word, the word itself.
CREATE OR REPLACE FUNCTION public.search_grams_of_word(word text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ARRAY(
    SELECT DISTINCT pg_catalog.substr(folded.word, place, 3)
    FROM (SELECT public.fold_for_search(word) AS word) folded,
      pg_catalog.generate_series(1, greatest(pg_catalog.length(folded.word) - 2, 1)) place
    WHERE folded.word <> '')
$$;
