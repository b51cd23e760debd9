from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    """Requests of somebody who may not sign in wait for nobody: members do not see them either."""

    dependencies = [("staff", "0001_unanswered_requests")]

    operations = [load_function("staff", "staff_unanswered_requests", version=2)]
