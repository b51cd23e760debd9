"""The legacy system put a member's id on what it wrote by itself. Staff see such a message without an author."""

from django.db import migrations

# As they were made in 0002, but for the author of a legacy message. Replaced, they keep their owner and their grants.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION public.moderation_legacy_reports()
RETURNS TABLE (id uuid, conversation_id uuid, message_id uuid, reporter_id uuid, author_id uuid, reason text, words text,
               status text, created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM public.moderation_require_staff();
    IF pg_catalog.to_regclass('public.message_reports') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT r.id, m.conversation_id, r.message_id, r.reported_by, {reported_author}, r.reason, coalesce(r.description, ''''),'
        ' coalesce(r.status, ''pending''), r.created_at'
        ' FROM public.message_reports AS r JOIN public.messages AS m ON m.id = r.message_id';
END
$$;

CREATE OR REPLACE FUNCTION public.moderation_look_at(report uuid)
RETURNS TABLE (place integer, sender_id uuid, content text, created_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    staff uuid := public.moderation_require_staff();
    wanted record;
    is_legacy boolean := false;
BEGIN
    SELECT r.version, r.conversation_id, r.message_id INTO wanted
    FROM public.moderation_report AS r WHERE r.id = report;
    IF NOT FOUND THEN
        is_legacy := true;
        SELECT 'v1' AS version, r.conversation_id, r.message_id INTO wanted
        FROM public.moderation_legacy_reports() AS r WHERE r.id = report;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    INSERT INTO public.moderation_look (report_id, is_legacy, staff_id) VALUES (report, is_legacy, staff);
    RETURN QUERY
    WITH message AS (
        SELECT m.id, m.sender_id, m.content, m.created_at FROM public.messages_v2 AS m
        WHERE wanted.version = 'v2' AND m.conversation_id = wanted.conversation_id
        UNION ALL
        SELECT NULL, c.helper_id, c.initial_message, c.created_at FROM public.conversations_v2 AS c
        WHERE wanted.version = 'v2' AND c.id = wanted.conversation_id
        UNION ALL
        SELECT m.id, {author}, m.content, m.created_at FROM public.messages AS m
        WHERE wanted.version = 'v1' AND m.conversation_id = wanted.conversation_id
    ), numbered AS (
        -- The opening of a V2 conversation comes first, whatever the clock said.
        SELECT message.*, pg_catalog.row_number() OVER (
            ORDER BY message.id IS NOT NULL, message.created_at, message.id)::integer AS number
        FROM message
    )
    SELECT n.number - reported.number, n.sender_id, n.content, n.created_at
    FROM numbered AS n
    JOIN numbered AS reported ON reported.id IS NOT DISTINCT FROM wanted.message_id
    WHERE n.number BETWEEN reported.number - 5 AND reported.number + 5
    ORDER BY n.number;
END
$$;
"""
FORWARDS = FUNCTIONS.format(
    author="CASE WHEN m.message_type = 'text' THEN m.sender_id END",
    reported_author="CASE WHEN m.message_type = ''text'' THEN m.sender_id END",
)
BACKWARDS = FUNCTIONS.format(author="m.sender_id", reported_author="m.sender_id")


class Migration(migrations.Migration):
    dependencies = [("moderation", "0002_show_staff_what_was_reported_and_no_more")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
