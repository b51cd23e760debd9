from django.db import migrations

from carecollective.core.sql_functions import load_function

FILL = """
INSERT INTO account_emailaddress (user_id, email, verified, "primary")
SELECT id, email, true, true FROM profiles WHERE email IS NOT NULL ON CONFLICT DO NOTHING;
"""
FORWARDS = """
REVOKE EXECUTE ON FUNCTION public.accounts_keep_address(), public.accounts_refuse_new_owner() FROM PUBLIC;
CREATE TRIGGER accounts_keep_address AFTER INSERT OR UPDATE OF email ON public.profiles
  FOR EACH ROW EXECUTE FUNCTION public.accounts_keep_address();
CREATE TRIGGER accounts_refuse_new_owner BEFORE UPDATE OF user_id ON public.account_emailaddress
  FOR EACH ROW EXECUTE FUNCTION public.accounts_refuse_new_owner();
GRANT UPDATE (email) ON profiles TO carecollective_web;
GRANT SELECT, INSERT ON account_emailaddress TO carecollective_web;
GRANT UPDATE (email, verified, "primary", user_id) ON account_emailaddress TO carecollective_web;
"""
BACKWARDS = """
REVOKE ALL ON account_emailaddress FROM carecollective_web;
REVOKE UPDATE (email) ON profiles FROM carecollective_web;
DROP TRIGGER accounts_refuse_new_owner ON public.account_emailaddress;
DROP TRIGGER accounts_keep_address ON public.profiles;
DROP FUNCTION public.accounts_refuse_new_owner();
DROP FUNCTION public.accounts_keep_address();
"""


class Migration(migrations.Migration):
    """A row for each member's address, which says whether it is confirmed. Addresses in use so far are."""

    dependencies = [
        ("accounts", "0008_add_wanted_path"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]

    operations = [
        load_function("accounts", "accounts_keep_address"),
        load_function("accounts", "accounts_refuse_new_owner"),
        migrations.RunSQL(FORWARDS, BACKWARDS),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
