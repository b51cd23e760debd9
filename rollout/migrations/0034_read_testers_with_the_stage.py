from django.db import migrations

from carecollective.core.sql_functions import load_function

FUNCTION = "FUNCTION public.rollout_testers()"


class Migration(migrations.Migration):
    """Let every process know the internal testers, whichever role reads the stage."""

    dependencies = [
        ("rollout", "0033_default_table_names"),
        ("accounts", "0001_take_over_profiles"),
        ("auth", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, f"DROP {FUNCTION};"),
        load_function("rollout", "rollout_testers"),
        migrations.RunSQL(
            f"REVOKE EXECUTE ON {FUNCTION} FROM PUBLIC; GRANT EXECUTE ON {FUNCTION} TO carecollective_web, carecollective_guard;",
            migrations.RunSQL.noop,
        ),
    ]
