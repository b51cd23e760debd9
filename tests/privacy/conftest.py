from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.services import post_request
from carecollective.inbox.services import offer_help, send_message
from carecollective.moderation.services import report_message
from carecollective.privacy.exports import prepare_waiting, request_export
from tests.privacy.leaving import PASSWORD

# Tables that only a database after a takeover has: legacy reports and legacy sign-ins.
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
    """Use a cheap password hash: the real one is tested in tests/accounts."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def legacy_tables(db: None, beyond_policies: Any) -> None:
    with beyond_policies() as cursor:
        cursor.execute(LEGACY_TABLES)


@pytest.fixture
def legacy_conversation(db: None, beyond_policies: Any) -> Callable[..., UUID]:
    """Write a legacy conversation: `legacy_conversation(request, helper, [(helper, "Hello")], left=helper)`."""

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
    """Return every table that holds one of these words in any column, in upper or lower case."""

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
    """A member with a name and texts that appear nowhere else."""
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


@pytest.fixture
def life(zerlina, member, help_request, legacy_tables, legacy_conversation, signed_in, stage, beyond_policies):
    """All that a member can leave behind, in both versions, and what others wrote to them."""
    stage("enabled", v1_writes=True)
    bob = member(name="Bob")
    own = post_request(
        actor=zerlina, title="zq-own-words title", description="zq-own-words text", category="other", urgency="normal"
    )
    with beyond_policies() as cursor:
        cursor.execute(
            "UPDATE help_requests SET location_override = 'Zqville 7', exchange_offer = 'zq-own-words',"
            " cancel_reason = 'zq-own-words', subcategory = 'zq-own-words' WHERE id = %s",
            [own.pk],
        )
    asked = offer_help(actor=bob, help_request_id=own.pk, initial_message="Bob offers what only Bob said.")
    send_message(actor=zerlina, conversation_id=asked.conversation_id, content="zq-own-words: thank you")
    send_message(actor=bob, conversation_id=asked.conversation_id, content="Bob answers in his own words.")
    helped = offer_help(
        actor=zerlina, help_request_id=help_request(user=bob).pk, initial_message="zq-own-words: I can do that"
    )
    legacy = legacy_conversation(
        help_request(user=bob),
        zerlina,
        [(zerlina, "zq-own-words in V1"), (bob, "Bob spoke in V1 too.")],
        title="zq-own-words title",
    )
    left = legacy_conversation(help_request(user=bob), zerlina, [(zerlina, "zq-own-words then left")], left=zerlina)
    legacy_conversation(
        help_request(user=bob), zerlina, [(bob, "Zerlina Quastenflosser offered to help.")], message_type="system"
    )
    report_message(
        actor=zerlina,
        conversation_id=asked.conversation_id,
        message_id=None,
        reason="other",
        words="zq-own-words report",
    )
    with beyond_policies() as cursor:
        cursor.execute("SELECT id FROM messages WHERE content = 'Bob spoke in V1 too.'")
        cursor.execute(
            "INSERT INTO message_reports (message_id, reported_by, reason, description) VALUES (%s, %s, 'spam', 'zq-own-words')",
            [cursor.fetchone()[0], zerlina.pk],
        )
        cursor.execute(
            "INSERT INTO auth.users (id, email, encrypted_password, raw_user_meta_data)"
            """ VALUES (%s, 'ZQ@example.org', '$2a$10$x', '{"name": "Zerlina"}')""",
            [zerlina.pk],
        )
        cursor.execute(
            "INSERT INTO axes_accessattempt (username, ip_address, user_agent, http_accept, path_info, attempt_time, get_data,"
            " post_data, failures_since_start) VALUES ('ZQ@example.org', '::1', '', '', '', now(), '', 'username=ZQ@example.org', 1)"
        )
    for target, words in ((zerlina, "Zerlina Quastenflosser"), (own, "zq-own-words title")):
        LogEntry.objects.create(
            user=bob,
            content_type=ContentType.objects.get_for_model(target),
            object_id=str(target.pk),
            object_repr=words,
            action_flag=CHANGE,
            change_message="Approved, zq@example.org",
        )
    request_export(actor=zerlina)
    prepare_waiting()
    AuthToken.objects.create(zerlina)
    return {
        "bob": bob,
        "own": own,
        "asked": asked.conversation_id,
        "helped": helped.conversation_id,
        "legacy": legacy,
        "left": left,
    }
