"""The web keeps the list of exports; what is in one only its member is shown. What is too old goes through one function."""

from django.db import migrations

FORWARDS = """
GRANT SELECT, INSERT ON privacy_export, privacy_exportfile TO carecollective_web;
GRANT UPDATE (state, attempts, done, total, ready_at) ON privacy_export TO carecollective_web;
GRANT SELECT ON privacy_erasure TO carecollective_web;
GRANT UPDATE (swept_at) ON privacy_erasure TO carecollective_web;

ALTER TABLE privacy_exportfile ENABLE ROW LEVEL SECURITY;
CREATE POLICY member_downloads ON privacy_exportfile FOR SELECT TO carecollective_web
  USING (member_id = (SELECT public.current_member()));
CREATE POLICY made_in_the_members_name ON privacy_exportfile FOR INSERT TO carecollective_web
  WITH CHECK (member_id = (SELECT public.current_member()) AND EXISTS (
    SELECT FROM privacy_export e WHERE e.id = privacy_exportfile.export_id AND e.member_id = privacy_exportfile.member_id));

CREATE FUNCTION public.privacy_prune_exports(days integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH old AS (
        SELECT e.id FROM public.privacy_export AS e WHERE COALESCE(e.ready_at, e.requested_at)
            < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => GREATEST(days, 1))
    ), files AS (
        DELETE FROM public.privacy_exportfile WHERE export_id IN (SELECT id FROM old)
    ), gone AS (
        DELETE FROM public.privacy_export WHERE id IN (SELECT id FROM old) RETURNING 1
    )
    SELECT pg_catalog.count(*) FROM gone
$$;

-- What a member said where they can no longer read: in legacy conversations they left, and what was taken down there.
CREATE FUNCTION public.privacy_own_legacy_messages()
RETURNS TABLE (id uuid, conversation_id uuid, content text, created_at timestamptz, has_left boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT m.id, m.conversation_id, m.content, m.created_at, NOT EXISTS (
        SELECT FROM public.conversation_participants AS p
        WHERE p.conversation_id = m.conversation_id AND p.user_id = m.sender_id AND p.left_at IS NULL)
    FROM public.messages AS m WHERE m.sender_id = public.current_member() ORDER BY m.created_at, m.id
$$;

CREATE FUNCTION public.privacy_own_legacy_reports()
RETURNS TABLE (id uuid, message_id uuid, reason text, words text, status text, created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF pg_catalog.to_regclass('public.message_reports') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT r.id, r.message_id, r.reason, r.description, r.status, r.created_at FROM public.message_reports AS r'
        ' WHERE r.reported_by = public.current_member() ORDER BY r.created_at, r.id';
END
$$;

REVOKE ALL ON FUNCTION public.privacy_prune_exports(integer), public.privacy_own_legacy_messages(),
    public.privacy_own_legacy_reports() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.privacy_prune_exports(integer), public.privacy_own_legacy_messages(),
    public.privacy_own_legacy_reports() TO carecollective_web;
"""

BACKWARDS = """
DROP FUNCTION public.privacy_own_legacy_reports();
DROP FUNCTION public.privacy_own_legacy_messages();
DROP FUNCTION public.privacy_prune_exports(integer);
DROP POLICY made_in_the_members_name ON privacy_exportfile;
DROP POLICY member_downloads ON privacy_exportfile;
ALTER TABLE privacy_exportfile DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON privacy_export, privacy_exportfile, privacy_erasure FROM carecollective_web;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("privacy", "0001_keep_exports_and_erasures"),
        ("core", "0001_name_the_acting_member"),
        ("messaging_v1", "0003_shut_the_legacy_gateways_door"),
    ]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
