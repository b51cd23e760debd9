from django.db import migrations

# allauth's own index compares with `character varying`: pg_dump writes that, and PostgreSQL reads it back, in other words. A
# restored copy would differ from its backup.
FORWARDS = """
DROP INDEX public.unique_authenticator_type;
CREATE UNIQUE INDEX unique_authenticator_type ON public.mfa_authenticator (user_id, type)
  WHERE type::text IN ('totp', 'recovery_codes');
"""
BACKWARDS = """
DROP INDEX public.unique_authenticator_type;
CREATE UNIQUE INDEX unique_authenticator_type ON public.mfa_authenticator (user_id, type)
  WHERE type IN ('totp', 'recovery_codes');
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_know_whose_sessions"), ("mfa", "0003_authenticator_type_uniq")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
