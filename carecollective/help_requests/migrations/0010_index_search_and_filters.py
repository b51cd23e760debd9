import django.contrib.postgres.indexes
from django.db import migrations, models

import carecollective.help_requests.search
from carecollective.postgres.online_indexes import AddIndexOnline


class Migration(migrations.Migration):
    """A search or a filter that finds nothing reads an index, and not every request.

    The table is the legacy system's, and its own writes keep these indexes too.
    """

    atomic = False
    dependencies = [("help_requests", "0009_search_grams")]

    operations = [
        AddIndexOnline(
            "helprequest",
            models.Index(fields=["category", "-created_at", "-id"], name="help_requests_by_category"),
        ),
        AddIndexOnline(
            "helprequest",
            models.Index(fields=["urgency", "-created_at", "-id"], name="help_requests_by_urgency"),
        ),
        AddIndexOnline(
            "helprequest",
            django.contrib.postgres.indexes.GinIndex(
                carecollective.help_requests.search.grams_of_request(), fastupdate=False, name="help_requests_search"
            ),
        ),
        # Without figures about the new index, PostgreSQL takes a word that nobody wrote for a common one.
        migrations.RunSQL("ANALYZE help_requests;", migrations.RunSQL.noop),
    ]
