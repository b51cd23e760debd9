"""A site that its policies would not hold does not start, and says in one sentence why."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from carecollective.postgres.dsn import ROLE_NAMES
from carecollective.serving.startup_checks import check_that_policies_hold, refuse_unsafe_database
from tests import databases

Broken = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def broken(db: None) -> Broken:
    """Break something as the superuser, in the test's own transaction, and be the web role again, down to the log-in."""

    @contextmanager
    def break_and_be(statements: str = "", role: str = "carecollective_web") -> Iterator[None]:
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE NONE")
            if statements:
                cursor.execute(statements)
            # Inside the transaction, so that the end of the test takes it back.
            cursor.execute(f"SET LOCAL SESSION AUTHORIZATION {role}")
        yield

    return break_and_be


def refusal() -> str:
    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_unsafe_database()
    sentence = str(refused.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_the_web_role_on_the_migrated_tables_is_let_in(broken: Broken) -> None:
    with broken():
        refuse_unsafe_database()
        assert check_that_policies_hold(databases=["default"]) == []


@pytest.mark.parametrize(
    ("number", "statements", "words"),
    [
        ("E001", "ALTER ROLE carecollective_web SUPERUSER", "carecollective_web, a superuser"),
        ("E002", "ALTER ROLE carecollective_web BYPASSRLS", "carecollective_web, which bypasses row-level security"),
        ("E002", "GRANT carecollective_ops TO carecollective_web", "a member of carecollective_ops, which bypasses"),
        ("E003", "ALTER TABLE conversations_v2 OWNER TO carecollective_web", "which owns the table conversations_v2"),
        ("E003", "ALTER TABLE messages OWNER TO carecollective_web", "which owns the table messages"),
        ("E002", "GRANT carecollective_owner TO carecollective_web", "a member of carecollective_ops, which bypasses"),
        (
            "E003",
            "REVOKE carecollective_ops FROM carecollective_owner; GRANT carecollective_owner TO carecollective_web",
            "belongs to carecollective_owner",
        ),
        ("E004", "ALTER TABLE messages_v2 DISABLE ROW LEVEL SECURITY", "off on the table messages_v2"),
        ("E004", "ALTER TABLE messages_v2 NO FORCE ROW LEVEL SECURITY", "not forced on the table messages_v2"),
        ("E004", "ALTER TABLE conversations DISABLE ROW LEVEL SECURITY", "off on the table conversations"),
        ("E005", "DROP POLICY helper_opens ON conversations_v2", "lacks the policy helper_opens"),
        ("E005", "DROP POLICY carecollective_read ON messages", "lacks the policy carecollective_read"),
        (
            "E005",
            "DROP POLICY carecollective_gate ON conversation_participants",
            "lacks the policy carecollective_gate",
        ),
        ("E005", "CREATE POLICY anyone ON messages_v2 USING (true)", "a policy of unknown purpose, anyone"),
        (
            "E005",
            "ALTER POLICY carecollective_gate ON messages USING (true)",
            "another policy carecollective_gate than",
        ),
        ("E005", "ALTER POLICY participants_read ON messages_v2 USING (true)", "another policy participants_read than"),
        ("E005", "ALTER POLICY carecollective_read ON messages TO public", "another policy carecollective_read than"),
        (
            "E005",
            "CREATE POLICY more ON messages TO carecollective_web USING (true)",
            "a policy of unknown purpose, more",
        ),
        ("E004", "ALTER TABLE privacy_exportfile DISABLE ROW LEVEL SECURITY", "off on the table privacy_exportfile"),
        ("E003", "ALTER TABLE knox_authtoken OWNER TO carecollective_web", "which owns the table knox_authtoken"),
        ("E006", "DROP TABLE messages_v2", "The table messages_v2 is missing"),
        ("E006", "DROP TABLE messages CASCADE", "The table messages is missing"),
        (
            "E007",
            "ALTER ROLE carecollective_web SET app.user_id = '00000000-0000-0000-0000-000000000001'",
            "The setting “carecollective_web: app.user_id” is",
        ),
        ("E007", "ALTER ROLE ALL SET request.jwt.claims = '{}'", "The setting “every role: request.jwt.claims” is"),
        ("E007", "ALTER ROLE carecollective_web SET search_path = evil", "“carecollective_web: search_path” is 'evil'"),
    ],
)
def test_it_refuses(broken: Broken, number: str, statements: str, words: str) -> None:
    with broken(statements):
        assert words in refusal()
        assert f"core.{number}" in {error.id for error in check_that_policies_hold(databases=["default"])}


@pytest.mark.parametrize("role", ["postgres", "carecollective_ops", "carecollective_owner"])
def test_it_refuses_every_role_that_the_policies_do_not_hold(broken: Broken, role: str) -> None:
    with broken(role=role):
        assert role in refusal()


def test_a_superuser_who_only_took_on_the_web_role_is_refused_too(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE carecollective_web")
    assert "a superuser" in refusal()


def test_every_v1_policy_of_the_legacy_systems_own_is_welcome(broken: Broken) -> None:
    with broken("CREATE POLICY send_own ON messages FOR INSERT WITH CHECK (false)"):
        refuse_unsafe_database()


def test_it_asks_few_questions(broken: Broken, django_assert_num_queries: Any) -> None:
    # Within a savepoint: who connects, what it owns, and the catalogue, with the schemas hidden and shown again.
    with broken(), django_assert_num_queries(7):
        refuse_unsafe_database()


def test_the_check_is_asked_only_when_a_database_is(db: None, django_assert_num_queries: Any) -> None:
    assert check_that_policies_hold in checks.registry.registry.registered_checks
    assert checks.Tags.database in check_that_policies_hold.tags
    with django_assert_num_queries(0):
        assert check_that_policies_hold(databases=None) == []


def test_the_owner_may_run_what_makes_the_policies(db: None, settings: Any) -> None:
    settings.DATABASE_ROLE = "owner"
    assert check_that_policies_hold(databases=["default"]) == []


def test_a_connection_that_begins_as_a_member_is_refused(template_database: str) -> None:
    name = f"test_{os.getpid()}_setting"
    databases.recreate(settings.DATA_DIR, name, template_database)
    try:
        with psycopg.connect(databases.superuser_url(settings.DATA_DIR, name), autocommit=True) as superuser:
            superuser.execute(f"ALTER DATABASE {name} SET app.user_id = '{uuid4()}'".encode())
        with pytest.raises(subprocess.CalledProcessError) as refused:
            databases.manage(settings.DATA_DIR, name, "check", "--database", "default", role="web")
        assert "every role in this database: app.user_id" in refused.value.stderr
        assert "Every connection begins as one and the same member" in refused.value.stderr
    finally:
        databases.drop(settings.DATA_DIR, name)


def test_the_command_line_says_so(template_database: str) -> None:
    name = f"test_{os.getpid()}_startup"
    databases.recreate(settings.DATA_DIR, name, template_database)
    try:
        check = ("check", "--database", "default")
        assert "no issues" in databases.manage(settings.DATA_DIR, name, *check, role="web").stdout
        assert "no issues" in databases.manage(settings.DATA_DIR, name, *check, role="owner").stdout
        assert ROLE_NAMES["web"] == "carecollective_web"
    finally:
        databases.drop(settings.DATA_DIR, name)
