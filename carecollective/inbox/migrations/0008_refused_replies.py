import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import carecollective.core.database

# The row goes when the outbox's does: after thirty days, and with an erasure. The policies do not hold a foreign key.
FORWARDS = """
ALTER TABLE inbox_refusedreply ADD CONSTRAINT inbox_refusedreply_goes_with_its_mail
  FOREIGN KEY (mail_id) REFERENCES mail_outgoingmail (id) ON DELETE CASCADE;
GRANT SELECT, INSERT, DELETE ON inbox_refusedreply TO carecollective_web;
ALTER TABLE inbox_refusedreply ENABLE ROW LEVEL SECURITY;
CREATE POLICY its_writer ON inbox_refusedreply TO carecollective_web
  USING (member_id = (SELECT public.current_member())) WITH CHECK (member_id = (SELECT public.current_member()));
"""
BACKWARDS = """
DROP POLICY its_writer ON inbox_refusedreply;
ALTER TABLE inbox_refusedreply DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON inbox_refusedreply FROM carecollective_web;
"""


class Migration(migrations.Migration):
    """Replies by mail that could not be posted; nobody but their writer reads them."""

    dependencies = [
        ("inbox", "0007_conversation_mail"),
        ("mail", "0003_add_address_and_reference"),
        ("core", "0001_name_the_acting_member"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RefusedReply",
            fields=[
                (
                    "mail",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="mail.outgoingmail",
                    ),
                ),
                ("conversation_id", models.UUIDField()),
                ("content", models.TextField()),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
