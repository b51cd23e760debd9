from django.db import migrations

SCRUB = "public.privacy_scrub_member(uuid)"


class Migration(migrations.Migration):
    """An erasure writes to legacy tables, and the legacy triggers that it fires inherit its search path.

    With an empty one, those that name a table without its schema fail. Our own statements name each schema, and only the
    owner may make anything in `public`.
    """

    dependencies = [("privacy", "0007_refuse_to_erase_without_an_actor")]

    operations = [
        migrations.RunSQL(
            f"ALTER FUNCTION {SCRUB} SET search_path = pg_catalog, public, pg_temp;",
            f"ALTER FUNCTION {SCRUB} SET search_path = '';",
        )
    ]
