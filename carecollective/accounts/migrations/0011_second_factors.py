from django.db import migrations

from carecollective.core.sql_functions import load_function

FORWARDS = """
CREATE TRIGGER accounts_refuse_new_owner BEFORE UPDATE OF user_id ON public.mfa_authenticator
  FOR EACH ROW EXECUTE FUNCTION public.accounts_refuse_new_owner();
GRANT SELECT, INSERT, DELETE ON mfa_authenticator TO carecollective_web;
GRANT UPDATE (data, last_used_at, type, user_id, created_at) ON mfa_authenticator TO carecollective_web;
"""
BACKWARDS = """
REVOKE ALL ON mfa_authenticator FROM carecollective_web;
DROP TRIGGER accounts_refuse_new_owner ON public.mfa_authenticator;
"""


class Migration(migrations.Migration):
    """The web role keeps second factors, and gives none to another member."""

    dependencies = [
        ("accounts", "0010_mail_preferences"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [
        load_function("accounts", "accounts_keep_address", version=2),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
