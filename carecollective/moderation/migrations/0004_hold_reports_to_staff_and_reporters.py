from django.db import migrations

# Whether the acting member is staff is read from the member's row, and not believed from the caller.
FORWARDS = """
CREATE FUNCTION public.acts_as_staff() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (SELECT FROM public.profiles p WHERE p.id = public.current_member() AND p.is_admin AND p.is_active)
$$;
REVOKE EXECUTE ON FUNCTION public.acts_as_staff() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.acts_as_staff() TO carecollective_web;

ALTER TABLE moderation_report ENABLE ROW LEVEL SECURITY;
CREATE POLICY reporter_and_staff_read ON moderation_report FOR SELECT TO carecollective_web
  USING (reporter_id = (SELECT public.current_member()) OR (SELECT public.acts_as_staff()));
CREATE POLICY reporter_reports ON moderation_report FOR INSERT TO carecollective_web
  WITH CHECK (reporter_id = (SELECT public.current_member()) AND status = 'pending' AND settled_by_id IS NULL);
CREATE POLICY staff_settle ON moderation_report FOR UPDATE TO carecollective_web
  USING ((SELECT public.acts_as_staff()))
  WITH CHECK ((SELECT public.acts_as_staff()) AND settled_by_id = (SELECT public.current_member())
    AND author_id <> (SELECT public.current_member()));

ALTER TABLE moderation_look ENABLE ROW LEVEL SECURITY;
CREATE POLICY staff_read ON moderation_look FOR SELECT TO carecollective_web USING ((SELECT public.acts_as_staff()));
"""

BACKWARDS = """
DROP POLICY staff_read ON moderation_look;
ALTER TABLE moderation_look DISABLE ROW LEVEL SECURITY;
DROP POLICY staff_settle ON moderation_report;
DROP POLICY reporter_reports ON moderation_report;
DROP POLICY reporter_and_staff_read ON moderation_report;
ALTER TABLE moderation_report DISABLE ROW LEVEL SECURITY;
DROP FUNCTION public.acts_as_staff();
"""


class Migration(migrations.Migration):
    """The web role reads what was reported for its reporter and for staff, and for nobody else."""

    dependencies = [("moderation", "0003_show_staff_legacy_system_messages_as_nobodys")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
