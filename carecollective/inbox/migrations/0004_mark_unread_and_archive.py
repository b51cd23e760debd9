from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inbox", "0003_grant_updates_by_column")]

    operations = [
        migrations.AlterField("readpointer", "read_to", models.DateTimeField(null=True)),
        # Taken back, a row that only marks or archives says nothing.
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM inbox_readpointer WHERE read_to IS NULL;"),
        migrations.AddField("readpointer", "is_marked_unread", models.BooleanField(default=False, db_default=False)),
        migrations.AddField("readpointer", "archived_to", models.DateTimeField(null=True)),
        migrations.RunSQL(
            "GRANT UPDATE (is_marked_unread, archived_to) ON inbox_readpointer TO carecollective_web;",
            "REVOKE UPDATE (is_marked_unread, archived_to) ON inbox_readpointer FROM carecollective_web;",
        ),
    ]
