from django.db import migrations

PRUNE = """
CREATE FUNCTION public.rollout_prune_events({argument}) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH gone AS (
        DELETE FROM public.application_logs WHERE id IN (
            SELECT old.id FROM public.application_logs AS old
            WHERE old.timestamp < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => {days})
            ORDER BY old.timestamp LIMIT 5000
        ) RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION public.rollout_prune_events({type}) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.rollout_prune_events({type}) TO carecollective_web;
"""
KEPT = "(SELECT r.days FROM public.core_retentionperiod AS r WHERE r.kind = 'events')"
FORWARDS = "DROP FUNCTION public.rollout_prune_events(integer);" + PRUNE.format(argument="", type="", days=KEPT)
BACKWARDS = "DROP FUNCTION public.rollout_prune_events();" + PRUNE.format(
    argument="days integer", type="integer", days="GREATEST(days, 1)"
)


class Migration(migrations.Migration):
    """How old an event must be to go is the owner's setting, and not the caller's word."""

    dependencies = [
        ("rollout", "0022_add_audit_entries"),
        ("core", "0005_keep_retention_periods"),
    ]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
