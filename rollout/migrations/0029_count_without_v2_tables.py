"""After `drop_v2` the counts go on without the new messaging's tables: none of its conversations, and none broken."""

import importlib

from django.db import migrations

# The two statements as they were. In PL/pgSQL a statement is looked at when it is reached, so that tables may be missing.
COUNT_BEFORE = importlib.import_module("rollout.migrations.0010_tally_conversations_of_both_versions").COUNT
BROKEN_BEFORE = importlib.import_module("rollout.migrations.0019_count_what_is_broken").FUNCTION


def body_of(definition: str) -> str:
    return definition.split("AS $$", 1)[1].split("$$;", 1)[0]


def header_of(definition: str) -> str:
    return definition.split("AS $$", 1)[0].strip().replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def tolerant(definition: str, otherwise: str) -> str:
    header = header_of(definition).replace("LANGUAGE sql", "LANGUAGE plpgsql")
    return f"""
{header} AS $$
#variable_conflict use_column
BEGIN
    IF pg_catalog.to_regclass('public.conversations_v2') IS NULL THEN
        {otherwise}
        RETURN;
    END IF;
    RETURN QUERY {body_of(definition).strip()};
END
$$;
"""


V1_ALONE = """RETURN QUERY
        SELECT known.version, pg_catalog.count(c.id) FILTER (WHERE c.status = 'active'),
            pg_catalog.count(c.id) FILTER (
                WHERE c.status = 'active' AND c.created_at > pg_catalog.clock_timestamp() - interval '7 days'),
            pg_catalog.count(c.id) FILTER (
                WHERE c.created_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(hours => hours))
        FROM (VALUES ('v1'), ('v2')) AS known (version) LEFT JOIN public.conversations AS c ON known.version = 'v1'
        GROUP BY known.version;"""


def as_it_was(definition: str) -> str:
    return f"{header_of(definition)} AS $${body_of(definition)}$$;"


class Migration(migrations.Migration):
    dependencies = [("rollout", "0028_rollback_table")]

    operations = [
        migrations.RunSQL(tolerant(COUNT_BEFORE, V1_ALONE), as_it_was(COUNT_BEFORE)),
        migrations.RunSQL(tolerant(BROKEN_BEFORE, "-- What is not there is not broken."), as_it_was(BROKEN_BEFORE)),
    ]
