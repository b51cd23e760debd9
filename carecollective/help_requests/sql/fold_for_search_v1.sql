-- How a search sees a text: without case and accents, every other sign as it is.
-- Marks are taken away before anything else, so that a database with an ASCII locale lowers "É" too. Letters that have no
-- decomposition become what people type instead. IMMUTABLE, so that an index can be made of it.
CREATE OR REPLACE FUNCTION public.fold_for_search(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN pg_catalog.octet_length(words) = pg_catalog.length(words) THEN pg_catalog.lower(words)
    ELSE pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
      pg_catalog.translate(
        pg_catalog.lower(pg_catalog.regexp_replace(
          pg_catalog.translate(pg_catalog.normalize(words, 'NFD'), 'ẞÆŒÞŁØĐÐĦŦ', 'ßæœþłøđðħŧ'),
          '[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f]', '', 'g')),
        'łøđðħŧıς', 'loddhtiσ'),
      'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th')
  END
$$;
