from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("adoption", "0002_let_the_web_see_it")]

    operations = [
        migrations.AddField(model_name="takeover", name="what_runs", field=models.JSONField(null=True)),
    ]
