"""Who proposed, approved, signed and was told is chained by hashes too, so that a later edit of those rows is found.

An entry keeps a digest of the row and no word of it: an erasure takes a name out of the row, and leaves none here.
"""

from django.db import migrations, models

import carecollective.core.database

ENTRIES = """
CREATE FUNCTION public.rollout_audit_hash(entry public.rollout_audit_entry, previous text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(E'\\n',
        previous, entry.id, pg_catalog.to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        entry.table_name, entry.row_id, entry.columns, entry.digest), 'UTF8')), 'hex')
$$;

-- The lock of the chain of changes: with a second one, an erasure and an approval could wait for each other.
CREATE FUNCTION public.rollout_write_audit_entry() RETURNS trigger
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
REVOKE ALL ON FUNCTION public.rollout_write_audit_entry() FROM PUBLIC;

CREATE FUNCTION public.rollout_chain_audit_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    NEW.hash := public.rollout_audit_hash(
        NEW, COALESCE((SELECT e.hash FROM public.rollout_audit_entry AS e ORDER BY e.id DESC LIMIT 1), ''));
    RETURN NEW;
END
$$;
CREATE TRIGGER rollout_audit_entry_chain BEFORE INSERT ON public.rollout_audit_entry
    FOR EACH ROW EXECUTE FUNCTION public.rollout_chain_audit_entry();
CREATE TRIGGER rollout_audit_entry_refuse_rewriting BEFORE UPDATE OR DELETE ON public.rollout_audit_entry
    FOR EACH ROW EXECUTE FUNCTION public.rollout_refuse_rewriting();
CREATE TRIGGER rollout_audit_entry_refuse_emptying BEFORE TRUNCATE ON public.rollout_audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION public.rollout_refuse_rewriting();
GRANT SELECT ON public.rollout_audit_entry TO carecollective_web, carecollective_guard;

CREATE TRIGGER rollout_proposal_audit AFTER INSERT OR UPDATE ON public.rollout_proposal
    FOR EACH ROW EXECUTE FUNCTION public.rollout_write_audit_entry();
CREATE TRIGGER rollout_sign_off_audit AFTER INSERT OR UPDATE ON public.rollout_sign_off
    FOR EACH ROW EXECUTE FUNCTION public.rollout_write_audit_entry();
CREATE TRIGGER rollout_root_cause_audit AFTER INSERT OR UPDATE ON public.rollout_root_cause
    FOR EACH ROW WHEN (NEW.filed_at IS NOT NULL) EXECUTE FUNCTION public.rollout_write_audit_entry();
CREATE TRIGGER rollout_delivery_audit AFTER INSERT OR UPDATE ON public.rollout_delivery
    FOR EACH ROW WHEN (NEW.delivered_at IS NOT NULL)
    EXECUTE FUNCTION public.rollout_write_audit_entry('attempts', 'next_try_at', 'failed_at', 'error');
"""

# What stands there already is entered as it is now: from here on an edit is found.
ENTER_WHAT_STANDS = """
DO $$
DECLARE
    line record;
BEGIN
    FOR line IN
        SELECT 'rollout_proposal' AS name, id, pg_catalog.to_jsonb(p) AS content FROM public.rollout_proposal AS p
        UNION ALL SELECT 'rollout_sign_off', id, pg_catalog.to_jsonb(s) FROM public.rollout_sign_off AS s
        UNION ALL SELECT 'rollout_root_cause', id, pg_catalog.to_jsonb(r) FROM public.rollout_root_cause AS r
            WHERE r.filed_at IS NOT NULL
        UNION ALL SELECT 'rollout_delivery', id, pg_catalog.to_jsonb(d) - '{attempts,next_try_at,failed_at,error}'::text[]
            FROM public.rollout_delivery AS d WHERE d.delivered_at IS NOT NULL
        ORDER BY name, id
    LOOP
        INSERT INTO public.rollout_audit_entry (at, table_name, row_id, columns, digest, hash) VALUES (
            pg_catalog.clock_timestamp(), line.name, line.id,
            (SELECT pg_catalog.string_agg(key, ',' ORDER BY key COLLATE "C")
             FROM pg_catalog.jsonb_object_keys(line.content) AS key),
            pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(line.content::text, 'UTF8')), 'hex'), '');
    END LOOP;
END
$$;
"""

DROP = """
DROP TRIGGER rollout_delivery_audit ON public.rollout_delivery;
DROP TRIGGER rollout_root_cause_audit ON public.rollout_root_cause;
DROP TRIGGER rollout_sign_off_audit ON public.rollout_sign_off;
DROP TRIGGER rollout_proposal_audit ON public.rollout_proposal;
DROP TRIGGER rollout_audit_entry_refuse_emptying ON public.rollout_audit_entry;
DROP TRIGGER rollout_audit_entry_refuse_rewriting ON public.rollout_audit_entry;
DROP TRIGGER rollout_audit_entry_chain ON public.rollout_audit_entry;
DROP FUNCTION public.rollout_write_audit_entry();
DROP FUNCTION public.rollout_chain_audit_entry();
DROP FUNCTION public.rollout_audit_hash(public.rollout_audit_entry, text);
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0021_prove_approvals")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("table_name", models.TextField()),
                ("row_id", models.BigIntegerField()),
                ("columns", models.TextField()),
                ("digest", models.TextField()),
                ("hash", models.TextField(editable=False)),
            ],
            options={"db_table": "rollout_audit_entry", "ordering": ["-id"], "default_permissions": ()},
        ),
        migrations.RunSQL(ENTRIES, DROP),
        migrations.RunSQL("SET LOCAL timezone = 'UTC'", migrations.RunSQL.noop),
        migrations.RunSQL(ENTER_WHAT_STANDS, migrations.RunSQL.noop),
    ]
