from django.db import migrations

from carecollective.core.sql_functions import load_function


class Migration(migrations.Migration):
    dependencies = [("privacy", "0012_erase_blocks"), ("contact", "0002_let_staff_read")]

    operations = [load_function("privacy", "privacy_scrub_member", version=3)]
