from django.db import migrations

TABLES = ("profiles", "messaging_preferences")


class Migration(migrations.Migration):
    """Where the legacy system has row-level security on, our web role sees and writes what its grants allow.

    Without row-level security these policies do nothing. The word `true` makes the server drop all other permissive ones.
    """

    dependencies = [("accounts", "0005_grant_updates_by_column")]

    operations = [
        migrations.RunSQL(
            f"CREATE POLICY carecollective_all ON {table} TO carecollective_web USING (true) WITH CHECK (true);",
            f"DROP POLICY carecollective_all ON {table};",
        )
        for table in TABLES
    ]
