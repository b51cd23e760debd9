"""Staff read what was reported, five messages around it, and nothing else; the same function writes down that they looked.

The functions belong to the operations role, which may read past the policies; of all that it may add only looks.
"""

from django.db import migrations

GRANTS = """
GRANT SELECT, INSERT ON moderation_report TO carecollective_web;
GRANT UPDATE (status, settled_by_id, settled_at) ON moderation_report TO carecollective_web;
GRANT SELECT ON moderation_look TO carecollective_web;
GRANT INSERT ON moderation_look TO carecollective_ops;
"""

FUNCTIONS = """
CREATE FUNCTION public.moderation_require_staff() RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.profiles AS p
                   WHERE p.id = public.current_member() AND p.is_admin AND p.is_active) THEN
        RAISE EXCEPTION 'Reports are for staff.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN public.current_member();
END
$$;

-- The legacy system's own reports, where it left any. Read only: nothing here or elsewhere changes them.
CREATE FUNCTION public.moderation_legacy_reports()
RETURNS TABLE (id uuid, conversation_id uuid, message_id uuid, reporter_id uuid, author_id uuid, reason text, words text,
               status text, created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM public.moderation_require_staff();
    IF pg_catalog.to_regclass('public.message_reports') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT r.id, m.conversation_id, r.message_id, r.reported_by, m.sender_id, r.reason, coalesce(r.description, ''''),'
        ' coalesce(r.status, ''pending''), r.created_at'
        ' FROM public.message_reports AS r JOIN public.messages AS m ON m.id = r.message_id';
END
$$;

CREATE FUNCTION public.moderation_look_at(report uuid)
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
        SELECT m.id, m.sender_id, m.content, m.created_at FROM public.messages AS m
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

REVOKE ALL ON FUNCTION public.moderation_legacy_reports(), public.moderation_look_at(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.moderation_legacy_reports(), public.moderation_look_at(uuid) TO carecollective_web;
GRANT CREATE ON SCHEMA public TO carecollective_ops;
ALTER FUNCTION public.moderation_legacy_reports() OWNER TO carecollective_ops;
ALTER FUNCTION public.moderation_look_at(uuid) OWNER TO carecollective_ops;
REVOKE CREATE ON SCHEMA public FROM carecollective_ops;
"""

UNDO = """
DROP FUNCTION public.moderation_look_at(uuid);
DROP FUNCTION public.moderation_legacy_reports();
DROP FUNCTION public.moderation_require_staff();
REVOKE ALL ON moderation_report, moderation_look FROM carecollective_web;
REVOKE INSERT ON moderation_look FROM carecollective_ops;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0001_keep_reports_and_looks"),
        ("core", "0001_name_the_acting_member"),
        ("messaging_v1", "0003_shut_the_legacy_gateways_door"),
        ("messaging_v2", "0003_let_members_act_for_themselves_only"),
    ]

    operations = [migrations.RunSQL(GRANTS + FUNCTIONS, UNDO)]
