from django.db import migrations, models


class Migration(migrations.Migration):
    """Where an applicant wanted to go: the mail of the approval leads there."""

    dependencies = [("accounts", "0007_add_kept_out_reason")]

    operations = [
        migrations.AddField("user", "wanted_path", models.TextField(blank=True, editable=False, null=True)),
    ]
