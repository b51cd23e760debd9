from django.db import migrations


class Migration(migrations.Migration):
    """The worker closes no expired request of a legacy database that nobody has taken over yet."""

    dependencies = [("adoption", "0001_record_the_takeover")]

    operations = [
        migrations.RunSQL(
            "GRANT SELECT ON adoption_takeover TO carecollective_web;",
            "REVOKE ALL ON adoption_takeover FROM carecollective_web;",
        ),
    ]
