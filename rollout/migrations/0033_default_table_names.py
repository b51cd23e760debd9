from django.db import migrations


class Migration(migrations.Migration):
    """Leave the names of these tables to Django, which gives the same ones. The database does not change."""

    dependencies = [("rollout", "0032_load_functions")]

    operations = [
        migrations.AlterModelTable(name, None)
        for name in ("alert", "change", "delivery", "flag", "process", "proposal", "rollback")
    ]
