from django.db import migrations, models

COLUMNS = "mail_pace, shows_words, mail_about_requests, mail_about_applicants, mail_about_reports, time_zone"
FORWARDS = f"GRANT UPDATE ({COLUMNS}) ON messaging_preferences TO carecollective_web;"
BACKWARDS = f"REVOKE UPDATE ({COLUMNS}) ON messaging_preferences FROM carecollective_web;"
PACES = [("soon", "A few minutes after the first word"), ("daily", "Once a day, all in one mail")]


class Migration(migrations.Migration):
    """What a member wants to be written about, how soon, and where they live by the clock."""

    dependencies = [("accounts", "0009_keep_confirmed_addresses")]

    operations = [
        migrations.AddField(
            "messagingpreferences",
            "mail_pace",
            models.TextField(choices=PACES, db_default="soon", default="soon"),
        ),
        *(
            migrations.AddField("messagingpreferences", name, models.BooleanField(db_default=default, default=default))
            for name, default in (
                ("shows_words", False),
                ("mail_about_requests", True),
                ("mail_about_applicants", True),
                ("mail_about_reports", True),
            )
        ),
        migrations.AddField("messagingpreferences", "time_zone", models.TextField(db_default="", default="")),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
