from django.db import migrations

FORWARDS = """
GRANT SELECT, INSERT ON inbox_thanks TO carecollective_web;
ALTER TABLE inbox_thanks ENABLE ROW LEVEL SECURITY;
CREATE POLICY helper_and_owner_read ON inbox_thanks FOR SELECT TO carecollective_web
  USING (helper_id = (SELECT public.current_member()) OR EXISTS (
    SELECT FROM public.help_requests r WHERE r.id = help_request_id AND r.user_id = (SELECT public.current_member())));
CREATE POLICY owner_thanks ON inbox_thanks FOR INSERT TO carecollective_web
  WITH CHECK (EXISTS (
    SELECT FROM public.help_requests r WHERE r.id = help_request_id AND r.user_id = (SELECT public.current_member())));
"""
BACKWARDS = """
DROP POLICY owner_thanks ON inbox_thanks;
DROP POLICY helper_and_owner_read ON inbox_thanks;
ALTER TABLE inbox_thanks DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON inbox_thanks FROM carecollective_web;
"""


class Migration(migrations.Migration):
    """The owner of a request says thank you; the helper and the owner read it."""

    dependencies = [("inbox", "0005_thanks")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
