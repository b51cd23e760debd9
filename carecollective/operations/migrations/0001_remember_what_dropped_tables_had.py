import django.contrib.postgres.fields
from django.db import migrations, models

import carecollective.core.database


class Migration(migrations.Migration):
    """For the owner's commands alone: nobody is granted anything, and operations reads all tables anyway."""

    initial = True

    operations = [
        migrations.CreateModel(
            name="DroppedMessaging",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "dropped_at",
                    models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp(), editable=False),
                ),
                ("statements", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
            ],
        ),
    ]
