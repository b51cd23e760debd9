from django.db import migrations

# `verification_status` is set by name; where it is text and no enumerated type, it was blanked in the same statement as well.
FUNCTION = """
CREATE OR REPLACE FUNCTION public.privacy_blank_columns(place regclass, kept text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT pg_catalog.string_agg(pg_catalog.format('%I = %s', a.attname, CASE
        WHEN NOT a.attnotnull THEN 'NULL' WHEN t.typname IN ('json', 'jsonb') THEN '''{{}}''' ELSE '''''' END), ', ')
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = place AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
      AND a.attname <> ALL ({kept})
      AND (t.typcategory IN ('S', 'A', 'I') OR t.typname IN ('json', 'jsonb', 'bytea', 'xml'))
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("privacy", "0008_let_legacy_triggers_find_their_tables")]

    operations = [
        migrations.RunSQL(
            FUNCTION.format(kept="kept || 'verification_status'::text"),
            FUNCTION.format(kept="kept"),
        )
    ]
