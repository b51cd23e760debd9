from django.db import migrations

from carecollective.core.sql_functions import load_function

FUNCTIONS = ("search_grams", "search_grams_of_word")
# Whoever writes a request computes what the index holds of it, the legacy system's roles too.
GRANT = """
GRANT EXECUTE ON FUNCTION public.fold_for_search(text), public.search_grams(text), public.search_grams_of_word(text)
  TO PUBLIC, carecollective_web;
"""


class Migration(migrations.Migration):
    """What of a text an index of the search holds."""

    dependencies = [("help_requests", "0008_mail_status_changes")]

    operations = [
        *(migrations.RunSQL(migrations.RunSQL.noop, f"DROP FUNCTION public.{name}(text);") for name in FUNCTIONS),
        *(load_function("help_requests", name) for name in FUNCTIONS),
        migrations.RunSQL(GRANT, migrations.RunSQL.noop),
    ]
