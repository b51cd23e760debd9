"""After `drop_v2` staff still read what was reported in a legacy conversation."""

import importlib

from django.db import migrations

before = importlib.import_module(
    "carecollective.moderation.migrations.0003_show_staff_legacy_system_messages_as_nobodys"
)

# As it was made in 0003, but for the conversation: one version's tables are asked, and not both in one statement.
FORWARDS = """
CREATE OR REPLACE FUNCTION public.moderation_look_at(report uuid)
RETURNS TABLE (place integer, sender_id uuid, content text, created_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    staff uuid := public.moderation_require_staff();
    wanted record;
    is_legacy boolean := false;
    said text;
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
    IF wanted.version = 'v1' THEN
        said := 'SELECT m.id, CASE WHEN m.message_type = ''text'' THEN m.sender_id END AS sender_id, m.content, m.created_at'
            ' FROM public.messages AS m WHERE m.conversation_id = $1';
    ELSIF pg_catalog.to_regclass('public.conversations_v2') IS NULL THEN
        RETURN;
    ELSE
        said := 'SELECT m.id, m.sender_id, m.content, m.created_at FROM public.messages_v2 AS m WHERE m.conversation_id = $1'
            ' UNION ALL SELECT NULL, c.helper_id, c.initial_message, c.created_at FROM public.conversations_v2 AS c'
            ' WHERE c.id = $1';
    END IF;
    INSERT INTO public.moderation_look (report_id, is_legacy, staff_id) VALUES (report, is_legacy, staff);
    -- The opening of a V2 conversation comes first, whatever the clock said.
    RETURN QUERY EXECUTE
        'WITH message AS (' || said || '), numbered AS ('
        '  SELECT message.*, pg_catalog.row_number() OVER ('
        '    ORDER BY message.id IS NOT NULL, message.created_at, message.id)::integer AS number FROM message)'
        ' SELECT n.number - reported.number, n.sender_id, n.content, n.created_at FROM numbered AS n'
        ' JOIN numbered AS reported ON reported.id IS NOT DISTINCT FROM $2'
        ' WHERE n.number BETWEEN reported.number - 5 AND reported.number + 5 ORDER BY n.number'
    USING wanted.conversation_id, wanted.message_id;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("moderation", "0004_hold_reports_to_staff_and_reporters")]

    operations = [migrations.RunSQL(FORWARDS, before.FORWARDS)]
