from typing import Any

import django.utils.timezone
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations, models

FORWARDS = """
ALTER TABLE django_session ADD COLUMN member_id uuid, ADD COLUMN created_at timestamptz, ADD COLUMN seen_at timestamptz,
  ADD COLUMN device text NOT NULL DEFAULT '';
CREATE INDEX django_session_member ON django_session (member_id) WHERE member_id IS NOT NULL;
GRANT UPDATE (member_id, created_at, seen_at, device) ON django_session TO carecollective_web;
"""
BACKWARDS = """
ALTER TABLE django_session DROP COLUMN member_id, DROP COLUMN created_at, DROP COLUMN seen_at, DROP COLUMN device;
"""


def fill(apps: Any, schema_editor: Any) -> None:
    """Note whose the sessions are that there are: nobody is signed out by the release."""
    sessions = apps.get_model("accounts", "MemberSession").objects
    store = SessionStore()
    for session in sessions.filter(expire_date__gt=django.utils.timezone.now()).iterator(chunk_size=500):
        member_id = store.decode(session.session_data).get(SESSION_KEY)
        if member_id:
            sessions.filter(session_key=session.session_key).update(member_id=member_id)


class Migration(migrations.Migration):
    """A session says whose it is, when it was begun and last used, and on what device."""

    dependencies = [("accounts", "0011_second_factors"), ("sessions", "0001_initial")]

    operations = [
        migrations.RunSQL(FORWARDS, BACKWARDS),
        migrations.CreateModel(
            name="MemberSession",
            fields=[
                (
                    "session_key",
                    models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key"),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ("member_id", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(null=True)),
                ("seen_at", models.DateTimeField(null=True)),
                ("device", models.TextField(default="")),
            ],
            options={"db_table": "django_session", "managed": False},
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
