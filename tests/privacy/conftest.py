from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from tests.privacy.leaving import PASSWORD

# What only a database that was taken over has: the legacy reports, and the legacy sign-ins.
LEGACY_TABLES = """
CREATE TABLE message_reports (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), message_id uuid NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
  reported_by uuid NOT NULL REFERENCES profiles (id) ON DELETE CASCADE, reason text NOT NULL, description text,
  status text DEFAULT 'pending', created_at timestamptz DEFAULT now(), reviewed_at timestamptz,
  reviewed_by uuid REFERENCES profiles (id));
CREATE SCHEMA auth;
CREATE TABLE auth.users (
  id uuid PRIMARY KEY, email text UNIQUE, encrypted_password text, raw_user_meta_data jsonb, created_at timestamptz);
ALTER TABLE message_reports OWNER TO carecollective_owner;
ALTER SCHEMA auth OWNER TO carecollective_owner;
ALTER TABLE auth.users OWNER TO carecollective_owner;
GRANT SELECT ON message_reports TO carecollective_ops;
"""


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """What a password's hash costs is tested where members sign in."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def legacy_tables(db: None, beyond_policies: Any) -> None:
    with beyond_policies() as cursor:
        cursor.execute(LEGACY_TABLES)


@pytest.fixture
def legacy_conversation(db: None, beyond_policies: Any) -> Callable[..., UUID]:
    """Write what the legacy system left: `legacy_conversation(request, helper, [(helper, "Hello")], left=helper)`."""

    def make(
        request: HelpRequest,
        helper: User,
        messages: list[tuple[User, str]],
        *,
        left: User | None = None,
        title: str | None = None,
        **columns: str,
    ) -> UUID:
        key = uuid4()
        with beyond_policies() as cursor:
            cursor.execute(
                "INSERT INTO conversations (id, help_request_id, created_by, title) VALUES (%s, %s, %s, %s)",
                [key, request.pk, helper.pk, title],
            )
            for person in (helper, request.user):
                cursor.execute(
                    "INSERT INTO conversation_participants (conversation_id, user_id, left_at)"
                    " VALUES (%s, %s, CASE WHEN %s THEN now() END)",
                    [key, person.pk, person == left],
                )
            for sender, text in messages:
                recipient = request.user if sender == helper else helper
                cursor.execute(
                    "INSERT INTO messages (conversation_id, sender_id, recipient_id, content, created_at,"
                    " moderation_status, message_type) VALUES (%s, %s, %s, %s, clock_timestamp(), %s, %s)",
                    [
                        *(key, sender.pk, recipient.pk, text),
                        *(columns.get("moderation_status"), columns.get("message_type", "text")),
                    ],
                )
        return key

    return make


@pytest.fixture
def find_everywhere(beyond_policies: Any) -> Callable[..., list[str]]:
    """Return every table that holds one of these words in any column of any row, in whatever case."""

    def find(*words: str) -> list[str]:
        found = []
        with beyond_policies() as cursor:
            cursor.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
            )
            for (table,) in cursor.fetchall():
                for word in words:
                    cursor.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text ILIKE %s", [f"%{word}%"])
                    if count := cursor.fetchone()[0]:
                        found.append(f"{table}: {word} ({count})")
        return found

    return find


@pytest.fixture
def zerlina(db: None, member: Callable[..., User], beyond_policies: Any) -> User:
    """A member whose name and words appear nowhere else."""
    person = member(
        name="Zerlina Quastenflosser",
        email="zq@example.org",
        location="Zqville",
        application_reason="zq-own-words reason",
        rejection_reason="zq-own-words rejection",
        set_password=PASSWORD,
    )
    with beyond_policies() as cursor:
        cursor.execute(
            "UPDATE profiles SET phone = '0170-zq', caregiving_situation = 'zq-own-words', avatar_url = '/zq-own-words.png',"
            """ contact_preferences = '{"availability": "zq-own-words"}' WHERE id = %s""",
            [person.pk],
        )
    return person
