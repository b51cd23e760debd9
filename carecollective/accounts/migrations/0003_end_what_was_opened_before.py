from django.db import migrations, models


class Migration(migrations.Migration):
    """The moment since when a member is signed out: sessions and links from before it open nothing again."""

    dependencies = [("accounts", "0002_grant_the_web_its_libraries_tables")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="signed_out_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
