"""A serving process tells which database session it follows the flag on, and whether its environment holds V2 off."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rollout", "0023_prune_events_by_setting")]

    operations = [
        migrations.AddField("process", "backend_pid", models.IntegerField(null=True)),
        migrations.AddField("process", "held_off", models.BooleanField(default=False, db_default=False)),
    ]
