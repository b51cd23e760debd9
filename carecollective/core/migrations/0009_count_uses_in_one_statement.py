from django.db import migrations

from carecollective.core.sql_functions import load_function

SIGNATURE = "public.core_count_use(text, text, integer, interval, boolean)"


class Migration(migrations.Migration):
    """Take the lock of a rate limit and count in one statement, which was two."""

    dependencies = [("core", "0008_load_functions")]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, f"DROP FUNCTION {SIGNATURE};"),
        load_function("core", "core_count_use"),
        migrations.RunSQL(
            f"REVOKE EXECUTE ON FUNCTION {SIGNATURE} FROM PUBLIC;"
            f"GRANT EXECUTE ON FUNCTION {SIGNATURE} TO carecollective_web;",
            migrations.RunSQL.noop,
        ),
    ]
