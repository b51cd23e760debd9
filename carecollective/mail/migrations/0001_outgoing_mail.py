import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import carecollective.core.database


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="OutgoingMail",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("kind", models.TextField()),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=carecollective.core.database.ClockTimestamp(), verbose_name="asked for"
                    ),
                ),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("waiting", "will be tried again"),
                            ("sent", "sent"),
                            ("skipped", "no longer needed"),
                            ("dead", "given up"),
                        ],
                        default="waiting",
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0, verbose_name="tries")),
                ("first_tried_at", models.DateTimeField(null=True, verbose_name="first try")),
                ("last_tried_at", models.DateTimeField(null=True, verbose_name="last try")),
                (
                    "next_try_at",
                    models.DateTimeField(
                        db_default=carecollective.core.database.ClockTimestamp(), verbose_name="next try"
                    ),
                ),
                ("settled_at", models.DateTimeField(null=True)),
                ("error", models.TextField(default="", verbose_name="why")),
                (
                    "recipient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="to",
                    ),
                ),
            ],
            options={
                "verbose_name": "mail that has not arrived",
                "verbose_name_plural": "mail that has not arrived",
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")), fields=["next_try_at", "id"], name="outgoing_mail_due"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")),
                        fields=("recipient", "kind"),
                        name="outgoing_mail_waits_once",
                    )
                ],
            },
        ),
        migrations.RunSQL(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON mail_outgoingmail TO carecollective_web;",
            "REVOKE ALL ON mail_outgoingmail FROM carecollective_web;",
        ),
    ]
