from django.db import migrations, models

from carecollective.postgres.online_indexes import AddIndexOnline

NAMED = {
    "status": ["open", "in_progress", "completed", "cancelled", "closed"],
    "category": [
        "health-caregiving", "groceries-meals", "transportation-errands", "household-yard", "technology-administrative",
        "social-companionship",
    ],
    "urgency": ["normal", "urgent", "critical"],
}  # fmt: skip


class Migration(migrations.Migration):
    """The filter "other" reads an index, and not every request: few requests, or none, are in these."""

    atomic = False
    dependencies = [("help_requests", "0010_index_search_and_filters")]

    operations = [
        AddIndexOnline(
            "helprequest",
            models.Index(
                fields=["-created_at", "-id"],
                name=f"help_requests_other_{field}",
                condition=models.Q(**{field: None}) | ~models.Q(**{f"{field}__in": named}),
            ),
        )
        for field, named in NAMED.items()
    ]
