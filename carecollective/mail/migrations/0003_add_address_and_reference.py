from django.db import migrations, models

FORWARDS = "GRANT UPDATE (address, reference) ON mail_outgoingmail TO carecollective_web;"
BACKWARDS = "REVOKE UPDATE (address, reference) ON mail_outgoingmail FROM carecollective_web;"


class Migration(migrations.Migration):
    """A mail may go to another address than the member's own, and be about one code: then several of a kind wait."""

    dependencies = [("mail", "0002_grant_updates_by_column")]

    operations = [
        migrations.AddField("outgoingmail", "address", models.TextField(db_default="", default="")),
        migrations.AddField("outgoingmail", "reference", models.TextField(db_default="", default="")),
        migrations.RemoveConstraint("outgoingmail", "outgoing_mail_waits_once"),
        migrations.AddConstraint(
            "outgoingmail",
            models.UniqueConstraint(
                condition=models.Q(("state", "waiting")),
                fields=("recipient", "kind", "reference"),
                name="outgoing_mail_waits_once",
            ),
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
