"""The web and the guard move the flag and read the record; nobody is granted a way to write the record."""

from django.db import migrations

GRANT = """
GRANT SELECT, UPDATE ON public.rollout_flag TO carecollective_web, carecollective_guard;
GRANT SELECT ON public.rollout_change TO carecollective_web, carecollective_guard;
GRANT SELECT ON public.rollout_flag_users, public.rollout_flag_groups TO carecollective_web;
"""

REVOKE = """
REVOKE SELECT ON public.rollout_flag_users, public.rollout_flag_groups FROM carecollective_web;
REVOKE SELECT ON public.rollout_change FROM carecollective_web, carecollective_guard;
REVOKE SELECT, UPDATE ON public.rollout_flag FROM carecollective_web, carecollective_guard;
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0005_refuse_to_rewrite_the_record")]

    operations = [migrations.RunSQL(GRANT, REVOKE)]
