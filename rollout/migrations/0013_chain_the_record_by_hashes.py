"""Each line of the record carries the hash of itself and of the line before it, so that none can be altered, removed or
slipped in unnoticed. The text that is hashed is the one that `rollout.audit` writes in Python, on its own."""

from django.db import migrations, models

CHAIN = """
CREATE FUNCTION public.rollout_change_hash(line public.rollout_change, previous text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
        previous || E'\\n' || pg_catalog.string_agg(
            CASE WHEN part IS NULL THEN '-'
                 ELSE pg_catalog.octet_length(pg_catalog.convert_to(part, 'UTF8'))::text || ':' || part END,
            ',' ORDER BY place),
        'UTF8')), 'hex')
    FROM unnest(ARRAY[
        line.id::text,
        pg_catalog.to_char(line.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        line.actor_id::text, line.actor_label, line.source, line.from_stage, line.to_stage,
        line.from_v1_writes::text, line.to_v1_writes::text, line.reason, line.override::text,
        line.database_role, line.flag_version::text
    ]) WITH ORDINALITY AS parts (part, place)
$$;

CREATE FUNCTION public.rollout_chain_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    -- One line after the other. Whoever waited sees the line that was written meanwhile: the next statement looks anew.
    PERFORM pg_catalog.pg_advisory_xact_lock(7262011);
    NEW.hash := public.rollout_change_hash(
        NEW, COALESCE((SELECT c.hash FROM public.rollout_change AS c ORDER BY c.id DESC LIMIT 1), '')
    );
    RETURN NEW;
END
$$;

DO $$
DECLARE
    line public.rollout_change;
    previous text := '';
BEGIN
    ALTER TABLE public.rollout_change DISABLE TRIGGER rollout_change_refuse_rewriting;
    FOR line IN SELECT * FROM public.rollout_change ORDER BY id LOOP
        previous := public.rollout_change_hash(line, previous);
        UPDATE public.rollout_change SET hash = previous WHERE id = line.id;
    END LOOP;
    ALTER TABLE public.rollout_change ENABLE TRIGGER rollout_change_refuse_rewriting;
END
$$;

CREATE TRIGGER rollout_change_chain BEFORE INSERT ON public.rollout_change
    FOR EACH ROW EXECUTE FUNCTION public.rollout_chain_change();
"""

UNCHAIN = """
DROP TRIGGER rollout_change_chain ON public.rollout_change;
DROP FUNCTION public.rollout_chain_change();
DROP FUNCTION public.rollout_change_hash(public.rollout_change, text);
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0012_create_the_tables_of_the_way_up")]

    operations = [
        migrations.AddField("change", "hash", models.TextField(default="", editable=False), preserve_default=False),
        migrations.RunSQL(CHAIN, UNCHAIN),
    ]
