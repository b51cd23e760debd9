from django.db import migrations


class Migration(migrations.Migration):
    """The model gets another name. Its table keeps the one it has, so nothing changes in the database."""

    dependencies = [("moderation", "0008_load_functions")]

    operations = [
        migrations.AlterModelTable(name="look", table="moderation_look"),
        migrations.RenameModel(old_name="Look", new_name="ReportAccess"),
    ]
