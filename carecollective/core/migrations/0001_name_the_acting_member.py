from django.db import migrations


class Migration(migrations.Migration):
    """The member whom every policy asks about: the transaction's own setting, empty after the first one and never NULL again."""

    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION public.current_member() RETURNS uuid LANGUAGE sql STABLE SET search_path = '' AS
            $$ SELECT NULLIF(pg_catalog.current_setting('app.user_id', true), '')::uuid $$;
            """,
            "DROP FUNCTION public.current_member();",
        ),
    ]
