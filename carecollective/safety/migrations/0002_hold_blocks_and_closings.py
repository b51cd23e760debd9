from django.db import migrations

from carecollective.core.sql_functions import load_function

GRANTS = """
REVOKE EXECUTE ON FUNCTION public.safety_standing(uuid), public.safety_written_today(), public.my_blocks(),
  public.may_write_to(uuid, boolean), public.takes_part_in(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.safety_standing(uuid), public.my_blocks(), public.may_write_to(uuid, boolean),
  public.takes_part_in(uuid) TO carecollective_web;
GRANT EXECUTE ON FUNCTION public.safety_written_today() TO CURRENT_USER;
GRANT CREATE ON SCHEMA public TO carecollective_ops;
ALTER FUNCTION public.safety_written_today() OWNER TO carecollective_ops;
REVOKE CREATE ON SCHEMA public FROM carecollective_ops;

ALTER TABLE safety_block ENABLE ROW LEVEL SECURITY;
CREATE POLICY blocker_reads ON safety_block FOR SELECT TO carecollective_web
  USING (blocker_id = (SELECT public.current_member()));
CREATE POLICY blocker_blocks ON safety_block FOR INSERT TO carecollective_web
  WITH CHECK (blocker_id = (SELECT public.current_member()));
CREATE POLICY blocker_ends_it ON safety_block FOR DELETE TO carecollective_web
  USING (blocker_id = (SELECT public.current_member()));
GRANT SELECT, INSERT, DELETE ON safety_block TO carecollective_web;

-- Closings of V2 are written by the trigger of its conversations, whatever the web role says.
ALTER TABLE safety_closing ENABLE ROW LEVEL SECURITY;
CREATE POLICY participants_read ON safety_closing FOR SELECT TO carecollective_web
  USING (public.takes_part_in(conversation_id));
CREATE POLICY participant_closes ON safety_closing FOR INSERT TO carecollective_web
  WITH CHECK (version = 'v1' AND closed_by_id = (SELECT public.current_member())
    AND conversation_id IN (SELECT public.my_legacy_conversations()));
CREATE POLICY closer_reopens ON safety_closing FOR DELETE TO carecollective_web
  USING (version = 'v1' AND closed_by_id = (SELECT public.current_member()));
GRANT SELECT, INSERT, DELETE ON safety_closing TO carecollective_web;

-- Read by functions alone until staff restrict members.
ALTER TABLE safety_restriction ENABLE ROW LEVEL SECURITY;
"""

UNDO = """
ALTER TABLE safety_restriction DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON safety_block, safety_closing FROM carecollective_web;
DROP POLICY closer_reopens ON safety_closing;
DROP POLICY participant_closes ON safety_closing;
DROP POLICY participants_read ON safety_closing;
ALTER TABLE safety_closing DISABLE ROW LEVEL SECURITY;
DROP POLICY blocker_ends_it ON safety_block;
DROP POLICY blocker_blocks ON safety_block;
DROP POLICY blocker_reads ON safety_block;
ALTER TABLE safety_block DISABLE ROW LEVEL SECURITY;
DROP FUNCTION public.takes_part_in(uuid);
DROP FUNCTION public.may_write_to(uuid, boolean);
DROP FUNCTION public.my_blocks();
DROP FUNCTION public.safety_standing(uuid);
DROP FUNCTION public.safety_written_today();
"""


class Migration(migrations.Migration):
    """A block is its blocker's alone; a closing is seen by both sides and taken back by whoever made it."""

    dependencies = [
        ("safety", "0001_blocks_closings_and_restrictions"),
        ("core", "0008_load_functions"),
        ("messaging_v1", "0008_load_functions"),
        ("messaging_v2", "0003_let_members_act_for_themselves_only"),
    ]

    operations = [
        *(
            load_function("safety", name)
            for name in ("safety_written_today", "safety_standing", "my_blocks", "may_write_to", "takes_part_in")
        ),
        migrations.RunSQL(GRANTS, UNDO),
    ]
