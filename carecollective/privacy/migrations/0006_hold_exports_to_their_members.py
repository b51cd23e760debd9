"""Exports are seen, asked for and moved on in their member's name; the worker only learns which are under way."""

from django.db import migrations

POLICIES = """
ALTER TABLE privacy_export ENABLE ROW LEVEL SECURITY;
CREATE POLICY member_and_staff_read ON privacy_export FOR SELECT TO carecollective_web
  USING (member_id = (SELECT public.current_member()) OR (SELECT public.acts_as_staff()));
CREATE POLICY member_or_staff_ask ON privacy_export FOR INSERT TO carecollective_web
  WITH CHECK (requested_by_id = (SELECT public.current_member())
    AND (member_id = (SELECT public.current_member()) OR (SELECT public.acts_as_staff())));
CREATE POLICY made_in_the_members_name ON privacy_export FOR UPDATE TO carecollective_web
  USING (member_id = (SELECT public.current_member()));

CREATE FUNCTION public.privacy_exports_under_way() RETURNS TABLE (id uuid, member_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT e.id, e.member_id FROM public.privacy_export AS e
    WHERE e.state IN ('waiting', 'working') ORDER BY e.requested_at, e.id
$$;
REVOKE ALL ON FUNCTION public.privacy_exports_under_way() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.privacy_exports_under_way() TO carecollective_web;
"""

DROP_POLICIES = """
DROP FUNCTION public.privacy_exports_under_way();
DROP POLICY made_in_the_members_name ON privacy_export;
DROP POLICY member_or_staff_ask ON privacy_export;
DROP POLICY member_and_staff_read ON privacy_export;
ALTER TABLE privacy_export DISABLE ROW LEVEL SECURITY;
"""

PRUNE = """
CREATE FUNCTION public.privacy_prune_exports({argument}) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH old AS (
        SELECT e.id FROM public.privacy_export AS e WHERE COALESCE(e.ready_at, e.requested_at)
            < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => {days})
    ), files AS (
        DELETE FROM public.privacy_exportfile WHERE export_id IN (SELECT id FROM old)
    ), gone AS (
        DELETE FROM public.privacy_export WHERE id IN (SELECT id FROM old) RETURNING 1
    )
    SELECT pg_catalog.count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION public.privacy_prune_exports({type}) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.privacy_prune_exports({type}) TO carecollective_web;
"""
KEPT = "(SELECT r.days FROM public.core_retentionperiod AS r WHERE r.kind = 'exports')"
PRUNE_BY_SETTING = "DROP FUNCTION public.privacy_prune_exports(integer);" + PRUNE.format(
    argument="", type="", days=KEPT
)
PRUNE_BY_CALLER = "DROP FUNCTION public.privacy_prune_exports();" + PRUNE.format(
    argument="days integer", type="integer", days="GREATEST(days, 1)"
)


class Migration(migrations.Migration):
    dependencies = [
        ("privacy", "0005_take_out_a_name_where_it_is_ones_own"),
        ("core", "0005_keep_retention_periods"),
        ("moderation", "0004_hold_reports_to_staff_and_reporters"),
    ]

    operations = [
        migrations.RunSQL(POLICIES, DROP_POLICIES),
        migrations.RunSQL(PRUNE_BY_SETTING, PRUNE_BY_CALLER),
    ]
