from django.db import migrations

# Anybody writes, staff read and answer, members read their own (for an export), and what is old may be deleted: see CONTACT_MESSAGES_KEPT in core/retention.py.
FORWARDS = """
GRANT SELECT, INSERT, DELETE ON contact_contactmessage TO carecollective_web;
GRANT UPDATE (answered_at, answered_by_id) ON contact_contactmessage TO carecollective_web;
ALTER TABLE contact_contactmessage ENABLE ROW LEVEL SECURITY;
CREATE POLICY anybody_writes ON contact_contactmessage FOR INSERT TO carecollective_web
  WITH CHECK (answered_at IS NULL AND answered_by_id IS NULL
    AND (member_id IS NULL OR member_id = (SELECT public.current_member())));
CREATE POLICY staff_and_writer_read ON contact_contactmessage FOR SELECT TO carecollective_web
  USING ((SELECT public.acts_as_staff()) OR member_id = (SELECT public.current_member())
    OR created_at < clock_timestamp() - interval '180 days');
CREATE POLICY staff_answer ON contact_contactmessage FOR UPDATE TO carecollective_web
  USING ((SELECT public.acts_as_staff()))
  WITH CHECK ((SELECT public.acts_as_staff()) AND answered_by_id = (SELECT public.current_member()));
CREATE POLICY old_ones_go ON contact_contactmessage FOR DELETE TO carecollective_web
  USING (created_at < clock_timestamp() - interval '180 days');
"""
BACKWARDS = """
DROP POLICY old_ones_go ON contact_contactmessage;
DROP POLICY staff_answer ON contact_contactmessage;
DROP POLICY staff_and_writer_read ON contact_contactmessage;
DROP POLICY anybody_writes ON contact_contactmessage;
ALTER TABLE contact_contactmessage DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON contact_contactmessage FROM carecollective_web;
"""


class Migration(migrations.Migration):
    """Nobody but staff reads what others wrote to them."""

    dependencies = [("contact", "0001_contact_messages"), ("moderation", "0004_hold_reports_to_staff_and_reporters")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
