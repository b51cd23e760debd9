"""Whatever is changed about the messaging tables, the verification says what."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from carecollective.core.catalog.snapshot import load_snapshot
from carecollective.operations.verification.checks import Check
from carecollective.operations.verification.structure import check_models, check_structure
from carecollective.operations.verification.verify import ORDER, check_schema
from rollout.promotion import automated_checks

Connect = Callable[..., psycopg.Connection[Any]]


def idle(function: str) -> str:
    """Make a trigger's function, or replace the one of that name, that lets everything happen."""
    return (
        f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SET search_path = ''"
        " AS 'BEGIN RETURN NEW; END';"
    )


def look(connect_as: Connect, statements: str = "", role: str = "carecollective_ops") -> list[Check]:
    """Break something in a transaction that ends with the test, and look as the operations role."""
    session = connect_as("superuser")
    if statements:
        session.execute(statements.encode())
    session.execute(f"SET LOCAL SESSION AUTHORIZATION {role}".encode())
    return [*check_structure(session.cursor()), *check_models(session.cursor())]


def wrong(checks: list[Check]) -> dict[str, str]:
    return {check.what: check.found for check in checks if not check.ok}


@pytest.mark.parametrize("role", ["carecollective_ops", "carecollective_web", "carecollective_guard"])
def test_what_the_migrations_made_is_what_was_agreed_whoever_looks(connect_as: Connect, role: str) -> None:
    checks = look(connect_as, role=role)
    assert wrong(checks) == {}
    assert {check.group for check in checks} <= set(ORDER)
    numbers = {(check.what, check.expected) for check in checks}
    assert {("Tables, conversations_v2", "8 columns"), ("Tables, messages_v2", "6 columns")} <= numbers
    assert {("Indexes, conversations_v2", "5"), ("Indexes, messages_v2", "3")} <= numbers
    assert ("Policies, both V2 tables", "5") in numbers


@pytest.mark.parametrize(
    ("statements", "what", "found"),
    [
        ("ALTER TABLE messages_v2 ADD note text", "Tables, messages_v2", "7 columns"),
        (
            "ALTER TABLE messages_v2 ALTER updated_at TYPE timestamp",
            "Tables, messages_v2.updated_at",
            "without time",
        ),
        ("ALTER TABLE messages_v2 ALTER content DROP NOT NULL", "Tables, messages_v2.content", "text"),
        ("DROP TABLE messages_v2", "Tables, messages_v2", "missing"),
        ("DROP INDEX messages_v2_sender", "Indexes, messages_v2", "2"),
        ("CREATE INDEX more ON conversations_v2 (updated_at)", "Indexes, conversations_v2", "6"),
        ("ALTER INDEX messages_v2_sender RENAME TO other", "Indexes, messages_v2.messages_v2_sender", "missing"),
        ("ALTER TABLE messages_v2 DISABLE ROW LEVEL SECURITY", "Row-level security, messages_v2", "off"),
        ("ALTER TABLE messages_v2 NO FORCE ROW LEVEL SECURITY", "Row-level security, messages_v2", "on, not forced"),
        ("DROP POLICY helper_opens ON conversations_v2", "Policies, both V2 tables", "4"),
        (
            "CREATE POLICY anyone ON messages_v2 USING (true)",
            "Policies, messages_v2.anyone",
            "FOR ALL TO public USING (true)",
        ),
        (
            "ALTER POLICY participants_read ON messages_v2 TO public",
            "Policies, messages_v2.participants_read",
            "TO public",
        ),
        ("DROP POLICY carecollective_gate ON messages", "Policies, messages.carecollective_gate", "missing"),
        (
            "ALTER TABLE conversations_v2 DROP CONSTRAINT conversations_v2_two_people",
            "Constraints, conversations_v2.conversations_v2_two_people",
            "missing",
        ),
        (
            "ALTER TABLE conversations_v2 DROP CONSTRAINT conversations_v2_one_per_pair",
            "Constraints, conversations_v2.conversations_v2_one_per_pair",
            "missing",
        ),
        (
            "ALTER TABLE messages_v2 DROP CONSTRAINT messages_v2_content_length;"
            "ALTER TABLE messages_v2 ADD CONSTRAINT messages_v2_content_length CHECK (true) NOT VALID",
            "Constraints, messages_v2.messages_v2_content_length",
            "CHECK (true) NOT VALID",
        ),
        (
            "ALTER TABLE messages_v2 DROP CONSTRAINT messages_v2_content_length;"
            "ALTER TABLE messages_v2 ADD CONSTRAINT messages_v2_content_length CHECK (true)",
            "Constraints, messages_v2.messages_v2_content_length",
            "CHECK (true)",
        ),
        (
            "ALTER TABLE conversations_v2 DROP CONSTRAINT conversations_v2_one_per_pair;"
            "ALTER TABLE conversations_v2 ADD CONSTRAINT conversations_v2_one_per_pair UNIQUE (id, helper_id)",
            "Constraints, conversations_v2.conversations_v2_one_per_pair",
            "UNIQUE (id, helper_id)",
        ),
        (
            "ALTER TABLE messages_v2 DROP CONSTRAINT messages_v2_pkey;"
            "ALTER TABLE messages_v2 ADD CONSTRAINT messages_v2_pkey PRIMARY KEY (id, sender_id)",
            "Constraints, messages_v2.messages_v2_pkey",
            "PRIMARY KEY (id, sender_id)",
        ),
        (
            "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE messages_v2 DROP CONSTRAINT %I', conname) FROM pg_constraint"
            " WHERE conrelid = 'messages_v2'::regclass AND confrelid = 'profiles'::regclass); END $$;"
            "ALTER TABLE messages_v2 ADD FOREIGN KEY (sender_id) REFERENCES profiles ON DELETE CASCADE",
            "Constraints, messages_v2.messages_v2_sender_id_fkey",
            "FOREIGN KEY (sender_id) REFERENCES public.profiles(id) ON DELETE CASCADE",
        ),
        (
            "DROP INDEX messages_v2_sender; CREATE INDEX messages_v2_sender ON messages_v2 (content)",
            "Indexes, messages_v2.messages_v2_sender",
            "btree (content)",
        ),
        (
            "DROP INDEX messages_v2_sender; CREATE INDEX messages_v2_sender ON messages_v2 (sender_id) WHERE content = ''",
            "Indexes, messages_v2.messages_v2_sender",
            "btree (sender_id) WHERE (content = ''::text)",
        ),
        (
            "ALTER POLICY participants_read ON messages_v2 USING (true)",
            "Policies, messages_v2.participants_read",
            "USING (true)",
        ),
        (
            "ALTER POLICY participants_send ON messages_v2 WITH CHECK (true)",
            "Policies, messages_v2.participants_send",
            "WITH CHECK (true)",
        ),
        (
            "ALTER POLICY carecollective_gate ON messages USING (true)",
            "Policies, messages.carecollective_gate",
            "USING (true)",
        ),
        (
            "DROP POLICY carecollective_gate ON messages;"
            "CREATE POLICY carecollective_gate ON messages TO carecollective_web"
            " USING (NULLIF(current_setting('request.jwt.claims', true), '') IS NULL)",
            "Policies, messages.carecollective_gate",
            "FOR ALL TO carecollective_web",
        ),
        (
            f"{idle('idle()')} DROP TRIGGER messages_v2_never_reworded ON messages_v2;"
            "CREATE TRIGGER messages_v2_never_reworded BEFORE UPDATE OF content ON messages_v2 FOR EACH ROW"
            " EXECUTE FUNCTION idle()",
            "Triggers, messages_v2.messages_v2_never_reworded",
            "EXECUTE FUNCTION public.idle()",
        ),
        (
            f"{idle('idle()')} DROP TRIGGER rollout_change_refuse_rewriting ON rollout_change;"
            "CREATE TRIGGER rollout_change_refuse_rewriting BEFORE UPDATE OR DELETE ON rollout_change FOR EACH ROW"
            " EXECUTE FUNCTION idle()",
            "Triggers, rollout_change.rollout_change_refuse_rewriting",
            "EXECUTE FUNCTION public.idle()",
        ),
        (
            "DROP TRIGGER rollout_change_refuse_rewriting ON rollout_change;"
            "CREATE TRIGGER rollout_change_refuse_rewriting BEFORE DELETE ON rollout_change FOR EACH ROW"
            " EXECUTE FUNCTION rollout_refuse_rewriting()",
            "Triggers, rollout_change.rollout_change_refuse_rewriting",
            "BEFORE DELETE ON public.rollout_change",
        ),
        (
            "ALTER TABLE rollout_sign_off DISABLE TRIGGER rollout_sign_off_refuse_rewriting",
            "Triggers, rollout_sign_off.rollout_sign_off_refuse_rewriting",
            "(switched off)",
        ),
        (
            idle("privacy_refuse_rewording()"),
            "Functions, privacy_refuse_rewording()",
            "RETURN NEW",
        ),
        (
            idle("rollout_refuse_rewriting()"),
            "Functions, rollout_refuse_rewriting()",
            "RETURN NEW",
        ),
        (
            "ALTER FUNCTION rollout_record_change() SECURITY INVOKER",
            "Functions, rollout_record_change()",
            "FUNCTION public.rollout_record_change()\n RETURNS trigger\n LANGUAGE plpgsql\n SET",
        ),
        (
            "ALTER FUNCTION my_legacy_conversations() RESET search_path",
            "Functions, my_legacy_conversations()",
            " STABLE SECURITY DEFINER\nAS",
        ),
        (
            "ALTER TABLE messages_v2 DISABLE TRIGGER USER",
            "Triggers, messages_v2.messages_v2_never_reworded",
            "(switched off)",
        ),
        ("DROP TRIGGER bump_conversation ON messages", "Triggers, messages.bump_conversation", "missing"),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER strange BEFORE INSERT ON messages_v2 FOR EACH ROW EXECUTE FUNCTION f()",
            "Triggers, messages_v2.strange",
            "FUNCTION public.f()",
        ),
        (
            "ALTER TABLE rollout_change DISABLE TRIGGER ALL",
            "Triggers, rollout_change.rollout_change_refuse_rewriting",
            "off",
        ),
        (
            "GRANT DELETE ON messages_v2 TO carecollective_web",
            "Grants, messages_v2 to carecollective_web",
            "DELETE, INSERT, SELECT",
        ),
        (
            "GRANT UPDATE (helper_id) ON conversations_v2 TO carecollective_web",
            "Grants, conversations_v2 to carecollective_web",
            "UPDATE (helper_id)",
        ),
        ("GRANT SELECT ON messages TO carecollective_guard", "Grants, messages to carecollective_guard", "SELECT"),
        ("GRANT SELECT ON messages_v2 TO PUBLIC", "Grants, messages_v2 to public", "SELECT"),
        ("REVOKE SELECT ON messages FROM carecollective_ops", "Grants, messages to carecollective_ops", "missing"),
        (
            "ALTER TABLE inbox_notification DROP COLUMN id CASCADE",
            "Drift, models and tables",
            "inbox_notification.id is missing",
        ),
        ("ALTER TABLE help_requests ALTER title TYPE varchar(9)", "Drift, models and tables", "character varying(9)"),
    ],
)
def test_it_names(connect_as: Connect, statements: str, what: str, found: str) -> None:
    assert found in wrong(look(connect_as, statements))[what]


def test_every_function_that_a_policy_or_a_trigger_runs_is_compared(connect_as: Connect) -> None:
    run = connect_as("superuser").execute(
        """
        SELECT DISTINCT replace(d.refobjid::regprocedure::text, 'rollout_change,', 'public.rollout_change,') FROM pg_depend d
        WHERE d.refclassid = 'pg_proc'::regclass AND d.classid IN ('pg_policy'::regclass, 'pg_trigger'::regclass)
        """
    )
    functions = load_snapshot().expected(made_here=True)["Functions"]
    assert {name for (name,) in run} <= functions.keys()


def test_whoever_looks_without_a_search_path_finds_the_same_tables(connect_as: Connect) -> None:
    session = connect_as("ops")
    session.execute("SET LOCAL search_path = ''")
    assert wrong(list(check_structure(session.cursor()))) == {}


def test_more_of_the_legacy_systems_own_is_welcome(connect_as: Connect) -> None:
    more = "ALTER TABLE messages ADD reaction text; CREATE POLICY theirs ON messages USING (false); CREATE INDEX i ON messages (id)"
    assert wrong(look(connect_as, more)) == {}


def test_the_checklist_asks_the_same_in_one_reading(db: None, django_assert_num_queries: Any) -> None:
    # Within a savepoint: the schemas hidden, one statement that reads, the schemas shown again.
    with django_assert_num_queries(5):
        found = automated_checks.registered("schema")()
    assert found == check_schema()
    assert found.state == "pass"


def test_the_checklist_names_the_first_thing_that_differs(db: None, beyond_policies: Any) -> None:
    with beyond_policies() as cursor:
        cursor.execute("DROP INDEX messages_v2_sender")
    found = automated_checks.registered("schema")()
    made = "CREATE INDEX messages_v2_sender ON public.messages_v2 USING btree (sender_id)"
    words = f"Indexes, messages_v2.messages_v2_sender: {made} expected, missing found. As the owner: {made};"
    assert (found.state, found.words) == ("fail", words)
