"""How many conversations each version holds, for those who must not read any: only numbers leave the function.

The policies of V2's table are forced on its owner too, so the function belongs to the operations role, which may read all.
"""

from django.db import migrations

COUNT = """
CREATE FUNCTION public.rollout_count_conversations(hours integer)
RETURNS TABLE (version text, active bigint, new_this_week bigint, new bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    WITH conversation AS (
        SELECT 'v1' AS version, status, created_at FROM public.conversations
        UNION ALL
        SELECT 'v2', status, created_at FROM public.conversations_v2
    )
    SELECT known.version, pg_catalog.count(*) FILTER (WHERE status = 'active'),
        pg_catalog.count(*) FILTER (
            WHERE status = 'active' AND created_at > pg_catalog.clock_timestamp() - interval '7 days'),
        pg_catalog.count(*) FILTER (
            WHERE created_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(hours => hours))
    FROM (VALUES ('v1'), ('v2')) AS known (version) LEFT JOIN conversation USING (version)
    GROUP BY known.version
$$;
REVOKE ALL ON FUNCTION public.rollout_count_conversations(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.rollout_count_conversations(integer) TO carecollective_web, carecollective_guard;
GRANT CREATE ON SCHEMA public TO carecollective_ops;
ALTER FUNCTION public.rollout_count_conversations(integer) OWNER TO carecollective_ops;
REVOKE CREATE ON SCHEMA public FROM carecollective_ops;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0009_keep_what_was_measured"),
        ("messaging_v1", "0003_shut_the_legacy_gateways_door"),
        ("messaging_v2", "0003_let_members_act_for_themselves_only"),
    ]

    operations = [migrations.RunSQL(COUNT, "DROP FUNCTION public.rollout_count_conversations(integer);")]
