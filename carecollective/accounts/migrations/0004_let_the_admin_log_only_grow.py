from django.db import migrations


class Migration(migrations.Migration):
    """What staff did is added to Django's log and read there. The web role neither changes nor deletes it."""

    dependencies = [("accounts", "0003_end_what_was_opened_before")]

    operations = [
        migrations.RunSQL(
            "REVOKE UPDATE, DELETE ON django_admin_log FROM carecollective_web;",
            "GRANT UPDATE, DELETE ON django_admin_log TO carecollective_web;",
        ),
    ]
