from django.db import migrations


class Migration(migrations.Migration):
    """Where the legacy system has row-level security on, our web role sees and writes what its grants allow.

    Without row-level security the policy does nothing. The word `true` makes the server drop all other permissive ones.
    """

    dependencies = [("help_requests", "0003_grant_updates_by_column")]

    operations = [
        migrations.RunSQL(
            "CREATE POLICY carecollective_all ON help_requests TO carecollective_web USING (true) WITH CHECK (true);",
            "DROP POLICY carecollective_all ON help_requests;",
        ),
    ]
