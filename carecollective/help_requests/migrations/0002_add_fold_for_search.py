from django.db import migrations

# Composed or decomposed, a letter becomes its base letter and its marks, and the marks go: first of all, so that a database
# whose locale knows ASCII alone lowers "É" too. What has no decomposition is replaced by what people type instead.
# IMMUTABLE, so that an index can be made of it.
CREATE = """
CREATE FUNCTION public.fold_for_search(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN pg_catalog.octet_length(words) = pg_catalog.length(words) THEN pg_catalog.lower(words)
    ELSE pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
      pg_catalog.translate(
        pg_catalog.lower(pg_catalog.regexp_replace(
          pg_catalog.translate(pg_catalog.normalize(words, 'NFD'), 'ẞÆŒÞŁØĐÐĦŦ', 'ßæœþłøđðħŧ'),
          '[\\u0300-\\u036f\\u0591-\\u05c7\\u064b-\\u065f\\u0670\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\ufe20-\\ufe2f]', '', 'g')),
        'łøđðħŧıς', 'loddhtiσ'),
      'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th')
  END
$$;
GRANT EXECUTE ON FUNCTION public.fold_for_search(text) TO carecollective_web;
"""


class Migration(migrations.Migration):
    """How a search sees a text: without case and without accents, every other sign as it is."""

    dependencies = [("help_requests", "0001_take_over_help_requests")]

    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION public.fold_for_search(text);")]
