"""A look is noted first and then shown: a page that shows it can be loaded again, and notes nothing by that."""

import importlib

from django.db import migrations

before = importlib.import_module("carecollective.moderation.migrations.0005_show_legacy_reports_without_v2_tables")

FUNCTIONS = """
DROP FUNCTION public.moderation_look_at(uuid);

CREATE FUNCTION public.moderation_note_look(report uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    staff uuid := public.moderation_require_staff();
    legacy boolean := NOT EXISTS (SELECT FROM public.moderation_report AS r WHERE r.id = report);
    noted bigint;
BEGIN
    IF legacy AND NOT EXISTS (SELECT FROM public.moderation_legacy_reports() AS r WHERE r.id = report) THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.moderation_look (report_id, is_legacy, staff_id) VALUES (report, legacy, staff) RETURNING id INTO noted;
    RETURN noted;
END
$$;

-- To whoever looked, for ten minutes: after that the page on a screen that was left shows nothing by a reload.
CREATE FUNCTION public.moderation_show(report uuid, look bigint)
RETURNS TABLE (place integer, sender_id uuid, content text, created_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    staff uuid := public.moderation_require_staff();
    wanted record;
    said text;
BEGIN
    IF NOT EXISTS (SELECT FROM public.moderation_look AS l WHERE l.id = look AND l.report_id = report
                   AND l.staff_id = staff AND l.at > pg_catalog.clock_timestamp() - interval '10 minutes') THEN
        RETURN;
    END IF;
    SELECT r.version, r.conversation_id, r.message_id INTO wanted
    FROM public.moderation_report AS r WHERE r.id = report;
    IF NOT FOUND THEN
        SELECT 'v1' AS version, r.conversation_id, r.message_id INTO wanted
        FROM public.moderation_legacy_reports() AS r WHERE r.id = report;
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

UNDO = """
DROP FUNCTION public.moderation_show(uuid, bigint);
DROP FUNCTION public.moderation_note_look(uuid);
"""


def give_to_operations(*functions: str) -> str:
    """Return the statements by which the operations role owns the functions, and the web alone may call them."""
    named = ", ".join(f"public.{function}" for function in functions)
    owned = "".join(f"ALTER FUNCTION public.{function} OWNER TO carecollective_ops;" for function in functions)
    return f"""
REVOKE ALL ON FUNCTION {named} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {named} TO carecollective_web;
GRANT CREATE ON SCHEMA public TO carecollective_ops;
{owned}
REVOKE CREATE ON SCHEMA public FROM carecollective_ops;
"""


class Migration(migrations.Migration):
    dependencies = [("moderation", "0005_show_legacy_reports_without_v2_tables")]

    operations = [
        migrations.RunSQL(
            FUNCTIONS + give_to_operations("moderation_note_look(uuid)", "moderation_show(uuid, bigint)"),
            UNDO + before.FORWARDS + give_to_operations("moderation_look_at(uuid)"),
        )
    ]
