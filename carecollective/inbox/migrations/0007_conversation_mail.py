import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """The last mail about each conversation, so that no other goes until the member has visited it."""

    dependencies = [
        ("inbox", "0006_let_owners_thank"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ConversationMail",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "member_id", "conversation_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("conversation_id", models.UUIDField()),
                ("mailed_at", models.DateTimeField()),
                ("told_to", models.DateTimeField(null=True)),
                (
                    "member",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            """
            GRANT SELECT, INSERT ON inbox_conversationmail TO carecollective_web;
            GRANT UPDATE (mailed_at, told_to) ON inbox_conversationmail TO carecollective_web;
            """,
            "REVOKE ALL ON inbox_conversationmail FROM carecollective_web;",
        ),
    ]
