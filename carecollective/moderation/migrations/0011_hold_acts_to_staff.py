from django.db import migrations

from carecollective.core.sql_functions import load_function

FORWARDS = """
REVOKE EXECUTE ON FUNCTION public.moderation_notices() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.moderation_notices() TO carecollective_web;

ALTER TABLE moderation_act ENABLE ROW LEVEL SECURITY;
CREATE POLICY staff_read ON moderation_act FOR SELECT TO carecollective_web USING ((SELECT public.acts_as_staff()));
CREATE POLICY staff_act ON moderation_act FOR INSERT TO carecollective_web
  WITH CHECK ((SELECT public.acts_as_staff()) AND staff_id = (SELECT public.current_member()) AND undone_by_id IS NULL);
CREATE POLICY staff_undo ON moderation_act FOR UPDATE TO carecollective_web
  USING ((SELECT public.acts_as_staff()))
  WITH CHECK ((SELECT public.acts_as_staff()) AND undone_by_id = (SELECT public.current_member()));
GRANT SELECT, INSERT ON moderation_act TO carecollective_web;
GRANT UPDATE (undone_by_id, undone_at, undone_reason) ON moderation_act TO carecollective_web;

CREATE POLICY staff_read ON safety_restriction FOR SELECT TO carecollective_web USING ((SELECT public.acts_as_staff()));
CREATE POLICY staff_restrict ON safety_restriction FOR INSERT TO carecollective_web
  WITH CHECK ((SELECT public.acts_as_staff()) AND member_id <> (SELECT public.current_member()));
CREATE POLICY staff_lift ON safety_restriction FOR UPDATE TO carecollective_web
  USING ((SELECT public.acts_as_staff()) AND member_id <> (SELECT public.current_member()));
GRANT SELECT, INSERT ON safety_restriction TO carecollective_web;
GRANT UPDATE (lifted_at) ON safety_restriction TO carecollective_web;

ALTER TABLE safety_hiddenmessage ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers_and_staff_read ON safety_hiddenmessage FOR SELECT TO carecollective_web
  USING ((SELECT public.acts_as_staff()) OR public.takes_part_in(conversation_id));
CREATE POLICY staff_hide ON safety_hiddenmessage FOR INSERT TO carecollective_web
  WITH CHECK ((SELECT public.acts_as_staff()));
CREATE POLICY staff_restore ON safety_hiddenmessage FOR DELETE TO carecollective_web
  USING ((SELECT public.acts_as_staff()));
GRANT SELECT, INSERT, DELETE ON safety_hiddenmessage TO carecollective_web;
"""

BACKWARDS = """
REVOKE ALL ON safety_hiddenmessage, safety_restriction, moderation_act FROM carecollective_web;
DROP POLICY staff_restore ON safety_hiddenmessage;
DROP POLICY staff_hide ON safety_hiddenmessage;
DROP POLICY readers_and_staff_read ON safety_hiddenmessage;
ALTER TABLE safety_hiddenmessage DISABLE ROW LEVEL SECURITY;
DROP POLICY staff_lift ON safety_restriction;
DROP POLICY staff_restrict ON safety_restriction;
DROP POLICY staff_read ON safety_restriction;
DROP POLICY staff_undo ON moderation_act;
DROP POLICY staff_act ON moderation_act;
DROP POLICY staff_read ON moderation_act;
ALTER TABLE moderation_act DISABLE ROW LEVEL SECURITY;
DROP FUNCTION public.moderation_notices();
"""


class Migration(migrations.Migration):
    """Only staff act on members, in their own name; a member reads what was done about them, and not why."""

    dependencies = [
        ("moderation", "0010_reports_of_people_and_acts"),
        ("safety", "0003_hidden_messages"),
    ]

    operations = [
        load_function("moderation", "moderation_notices"),
        load_function("moderation", "moderation_show", version=2),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
