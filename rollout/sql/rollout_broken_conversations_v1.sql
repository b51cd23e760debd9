-- How many V2 conversations break each invariant, among those created or changed after `since` ('-infinity': all).
-- For the guard, which may read no conversation: only numbers leave this function. It belongs to the operations role, which may
-- read all.
CREATE OR REPLACE FUNCTION public.rollout_broken_conversations(since timestamptz) RETURNS TABLE (invariant text, broken bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    IF pg_catalog.to_regclass('public.conversations_v2') IS NULL THEN
        -- What is not there is not broken.
        RETURN;
    END IF;
    RETURN QUERY WITH conversation AS MATERIALIZED (
        SELECT c.id, c.help_request_id, c.helper_id, c.requester_id, c.created_at,
               pg_catalog.btrim(c.initial_message, E' \t\r\n') = '' AS is_empty
        FROM public.conversations_v2 AS c WHERE c.created_at > since OR c.updated_at > since
    ), message AS MATERIALIZED (
        SELECT m.sender_id NOT IN (c.helper_id, c.requester_id) AS is_strangers,
               pg_catalog.btrim(m.content, E' \t\r\n') = '' AS is_empty,
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
    SELECT 'message_before_its_conversation', pg_catalog.count(*) FROM message WHERE is_early;
END
$$;
