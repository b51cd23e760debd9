"""The guard reads no conversation, and is told how many are broken.

The tables' policies are forced, so that their owner sees no row by accident. The function belongs to the operations role,
which may read all; only numbers leave it.
"""

from django.db import migrations

# A conversation that changed carries its messages along; '-infinity' looks at all there are.
FUNCTION = """
CREATE FUNCTION public.rollout_broken_conversations(since timestamptz)
RETURNS TABLE (invariant text, broken bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    WITH conversation AS MATERIALIZED (
        SELECT c.id, c.help_request_id, c.helper_id, c.requester_id, c.created_at,
               pg_catalog.btrim(c.initial_message, E' \\t\\r\\n') = '' AS is_empty
        FROM public.conversations_v2 AS c WHERE c.created_at > since OR c.updated_at > since
    ), message AS MATERIALIZED (
        SELECT m.sender_id NOT IN (c.helper_id, c.requester_id) AS is_strangers,
               pg_catalog.btrim(m.content, E' \\t\\r\\n') = '' AS is_empty,
               m.created_at < c.created_at AS is_early
        FROM conversation AS c JOIN public.messages_v2 AS m ON m.conversation_id = c.id
    )
    SELECT 'helper_is_requester', pg_catalog.count(*) FROM conversation WHERE helper_id = requester_id
    UNION ALL
    SELECT 'requester_is_not_owner', pg_catalog.count(*)
    FROM conversation AS c LEFT JOIN public.help_requests AS r ON r.id = c.help_request_id
    WHERE r.user_id IS DISTINCT FROM c.requester_id
    UNION ALL
    SELECT 'pair_has_two', pg_catalog.count(*) FROM conversation AS c WHERE EXISTS (
        SELECT FROM public.conversations_v2 AS other
        WHERE other.help_request_id = c.help_request_id AND other.helper_id = c.helper_id AND other.id <> c.id)
    UNION ALL
    SELECT 'first_message_is_empty', pg_catalog.count(*) FROM conversation WHERE is_empty
    UNION ALL
    SELECT 'message_is_empty', pg_catalog.count(*) FROM message WHERE is_empty
    UNION ALL
    SELECT 'sender_takes_no_part', pg_catalog.count(*) FROM message WHERE is_strangers
    UNION ALL
    SELECT 'message_before_its_conversation', pg_catalog.count(*) FROM message WHERE is_early
$$;
REVOKE EXECUTE ON FUNCTION public.rollout_broken_conversations(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.rollout_broken_conversations(timestamptz) TO carecollective_guard;
GRANT CREATE ON SCHEMA public TO carecollective_ops;
ALTER FUNCTION public.rollout_broken_conversations(timestamptz) OWNER TO carecollective_ops;
REVOKE CREATE ON SCHEMA public FROM carecollective_ops;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0018_keep_alerts_and_their_deliveries"),
        ("messaging_v2", "0003_let_members_act_for_themselves_only"),
        ("help_requests", "0001_take_over_help_requests"),
    ]

    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION public.rollout_broken_conversations(timestamptz);")]
