from django.db import migrations, models


class Migration(migrations.Migration):
    """When staff last did something about the member that they have not seen yet: every page says so until they have."""

    dependencies = [("accounts", "0013_write_an_index_as_dumps_do")]

    operations = [
        migrations.AddField("user", "unseen_notice_at", models.DateTimeField(editable=False, null=True)),
        migrations.RunSQL(
            "GRANT UPDATE (unseen_notice_at) ON profiles TO carecollective_web",
            "REVOKE UPDATE (unseen_notice_at) ON profiles FROM carecollective_web",
        ),
    ]
