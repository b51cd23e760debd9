from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("inbox", "0001_mark_what_is_read_and_tell_who_is_waited_for")]

    operations = [
        migrations.RunSQL(
            """
            GRANT SELECT, INSERT, UPDATE ON inbox_readpointer, inbox_notification TO carecollective_web;
            GRANT SELECT, INSERT ON inbox_continuationrequest TO carecollective_web;
            """,
            "REVOKE ALL ON inbox_readpointer, inbox_notification, inbox_continuationrequest FROM carecollective_web;",
        ),
    ]
