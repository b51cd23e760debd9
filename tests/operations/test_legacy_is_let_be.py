"""What the legacy system has of its own is not reported, unless our roles gain something by it."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.core.catalog.comparison import Difference, find_catalog_differences, is_same
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import load_snapshot
from tests import databases
from tests.migrations.legacy import prepare_taken_over_template

ROLES = "CREATE ROLE anon; CREATE ROLE service_role BYPASSRLS;"
LET_BE = {
    "its roles and their rights": f"{ROLES} GRANT ALL ON messages, profiles, message_reports TO anon, service_role",
    "a right on a column": f"{ROLES} GRANT UPDATE (name) ON profiles TO anon",
    "a policy for its own role": f"{ROLES} CREATE POLICY theirs ON messages TO anon USING (true)",
    "a policy that asks its gateway": "CREATE POLICY theirs ON messages FOR SELECT USING (sender_id = auth.uid())",
    "a policy with a name of several words": 'CREATE POLICY "Users see their own." ON messages USING (sender_id = auth.uid())',
    "a policy that asks the gateway's setting": (
        "CREATE POLICY theirs ON conversations FOR SELECT"
        " USING (created_by::text = current_setting('request.jwt.claim.sub', true))"
    ),
    "a policy that says false": "CREATE POLICY theirs ON messages USING (false)",
    "a policy that restricts": "CREATE POLICY theirs ON messages AS RESTRICTIVE USING (true)",
    "policies where we ask for none": (
        "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY; CREATE POLICY all_see ON profiles FOR SELECT USING (true)"
    ),
    "a table with policies": (
        f"{ROLES} CREATE TABLE announcements (id uuid); ALTER TABLE announcements ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY all_see ON announcements FOR SELECT USING (true); GRANT SELECT ON announcements TO anon"
    ),
    "a trigger": (
        "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER theirs AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION theirs()"
    ),
    "a function that only its roles may run": (
        f"{ROLES} CREATE FUNCTION is_admin() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS 'SELECT true';"
        " REVOKE EXECUTE ON FUNCTION is_admin() FROM PUBLIC; GRANT EXECUTE ON FUNCTION is_admin() TO anon"
    ),
    "a function on the caller's rights": "CREATE FUNCTION is_admin() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "a function in a schema that our roles cannot enter": (
        "CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'"
    ),
    "a view": f"{ROLES} CREATE VIEW summary AS SELECT id FROM conversations; GRANT SELECT ON summary TO anon",
    "columns, constraints and indexes": (
        "ALTER TABLE messages ADD reaction text; ALTER TABLE messages ADD CHECK (reaction <> 'no') NOT VALID;"
        " CREATE INDEX ON messages (reaction)"
    ),
    "its triggers by other names": (
        "ALTER TRIGGER bump_conversation ON messages RENAME TO touch;"
        "ALTER FUNCTION bump_conversation() RENAME TO on_new_message"
    ),
    "another body of its trigger's function": (
        "CREATE OR REPLACE FUNCTION bump_conversation() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    ),
    "memory and a time zone": "ALTER DATABASE {database} SET work_mem = '64MB'; ALTER DATABASE {database} SET timezone = 'UTC'",
}
REPORTED = {
    # The gate holds it, and nothing is shown. It is one fault away from showing everything.
    "Policies, messages.wide": "CREATE POLICY wide ON messages FOR SELECT USING (true)",
    "Policies, messages.mine": "CREATE POLICY mine ON messages FOR SELECT TO carecollective_web USING (sender_id = auth.uid())",
    "Policies, messages.theirs": (
        "CREATE POLICY theirs ON messages FOR SELECT USING (sender_id = auth.uid());"
        " ALTER POLICY carecollective_gate ON messages USING (true)"
    ),
    "Grants, messages to public": "GRANT SELECT ON messages TO PUBLIC",
    "Grants, message_reports to carecollective_web": "GRANT SELECT ON message_reports TO carecollective_web",
    "Grants, auth.users to carecollective_ops": "GRANT UPDATE ON auth.users TO carecollective_ops",
    "Grants, schema auth to carecollective_web": "GRANT USAGE ON SCHEMA auth TO carecollective_web",
    "Grants, messages_v2 to anon": f"{ROLES} GRANT SELECT ON messages_v2 TO anon",
    "Grants, function privacy_erase_member(uuid) to anon": (
        f"{ROLES} GRANT EXECUTE ON FUNCTION privacy_erase_member(uuid) TO anon"
    ),
    "Functions, is_admin()": "CREATE FUNCTION is_admin() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS 'SELECT true'",
    "Grants, summary to public": "CREATE VIEW summary AS SELECT id FROM conversations; GRANT SELECT ON summary TO PUBLIC",
    "Views, summary": "CREATE VIEW summary AS SELECT id FROM conversations_v2",
    "Triggers, messages.bump_conversation": "ALTER TABLE messages DISABLE TRIGGER bump_conversation",
    "Rules, messages.quiet": "CREATE RULE quiet AS ON INSERT TO messages DO INSTEAD NOTHING",
    "Inheritance, messages of everything": "CREATE TABLE everything (LIKE messages); ALTER TABLE messages INHERIT everything",
    "Row-level security, messages": "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
    "Tables, messages": "ALTER TABLE messages OWNER TO carecollective_guard",
}


@pytest.fixture(scope="module")
def taken_over(template_database: str) -> Iterator["psycopg.Connection[Any]"]:
    name = f"test_{os.getpid()}_let_be"
    databases.recreate(settings.DATA_DIR, name, prepare_taken_over_template(settings.DATA_DIR))
    try:
        with psycopg.connect(databases.superuser_url(settings.DATA_DIR, name), autocommit=True) as superuser:
            yield superuser
    finally:
        databases.drop(settings.DATA_DIR, name)


def look(session: "psycopg.Connection[Any]", statements: str) -> Sequence[Difference]:
    with session.transaction(force_rollback=True):
        session.execute(statements.format(database=session.info.dbname).encode())
        return list(find_catalog_differences(read_live_catalog(session.cursor())))


@pytest.mark.parametrize("statements", LET_BE.values(), ids=LET_BE.keys())
def test_it_is_let_be(taken_over: Any, statements: str) -> None:
    assert look(taken_over, statements) == []


@pytest.mark.parametrize(("what", "statements"), REPORTED.items(), ids=REPORTED.keys())
def test_it_is_reported_when_our_roles_gain_by_it(taken_over: Any, what: str, statements: str) -> None:
    assert what in {f"{difference.part}, {difference.name}" for difference in look(taken_over, statements)}


def test_a_policy_of_ours_may_compare_with_a_legacy_columns_own_type() -> None:
    agreed = load_snapshot().ours["Policies"]["conversations_v2.helper_opens"]
    typed = agreed.replace("'open'::text", "'open'::public.request_status")
    assert typed != agreed
    assert is_same("Policies", agreed, typed)
    assert not is_same("Policies", agreed, typed.replace("'open'", "'closed'"))


def test_a_policy_behind_the_gate_does_not_stop_the_start(taken_over: Any) -> None:
    (difference,) = look(taken_over, "CREATE POLICY wide ON messages FOR SELECT USING (true)")
    assert not difference.stops_start
