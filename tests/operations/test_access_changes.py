"""What decides who may read or write is compared, wherever it stands: each of these once passed unseen."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from carecollective.operations.verification.structure import check_models, check_structure

Connect = Callable[..., psycopg.Connection[Any]]

DEFINER = (
    "CREATE FUNCTION public.leak() RETURNS SETOF messages LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM messages';"
)
UNSEEN = {
    "V1 without row-level security": "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
    "exports without row-level security": "ALTER TABLE privacy_exportfile DISABLE ROW LEVEL SECURITY",
    "an export policy that says true": "ALTER POLICY member_downloads ON privacy_exportfile USING (true)",
    "an export policy that is gone": "DROP POLICY member_downloads ON privacy_exportfile",
    "a new export policy": "CREATE POLICY anybody ON privacy_exportfile FOR SELECT USING (true)",
    "a new policy on V1": "CREATE POLICY anybody ON messages FOR SELECT TO carecollective_web USING (true)",
    "a new policy for everybody on V1": "CREATE POLICY anybody ON messages FOR SELECT USING (true)",
    "a right on sign-ins for the guard": "GRANT SELECT ON knox_authtoken TO carecollective_guard",
    "a right on sessions for everybody": "GRANT SELECT ON django_session TO PUBLIC",
    "a right on a column": "GRANT UPDATE (password) ON profiles TO carecollective_guard",
    "a right to delete requests": "GRANT DELETE ON help_requests TO carecollective_web",
    "a right that may be passed on": "GRANT SELECT ON messages_v2 TO carecollective_web WITH GRANT OPTION",
    "a right on the schema": "GRANT CREATE ON SCHEMA public TO carecollective_web",
    "a right on the database": "GRANT TEMPORARY ON DATABASE {database} TO carecollective_web",
    "a function that everybody may call": "GRANT EXECUTE ON FUNCTION privacy_erase_member(uuid) TO PUBLIC",
    "a function that the web may no longer call": "REVOKE EXECUTE ON FUNCTION moderation_legacy_reports() FROM carecollective_web",
    "a function of another owner": "ALTER FUNCTION privacy_own_legacy_messages() OWNER TO postgres",
    "another body of a function of the privacy app": (
        "CREATE OR REPLACE FUNCTION privacy_prune_exports(days integer) RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        " SET search_path = '' AS 'SELECT 0::bigint'"
    ),
    "a function that is volatile": "ALTER FUNCTION current_member() VOLATILE",
    "a new function on its owner's rights": DEFINER,
    "a new view over messages": "CREATE VIEW everything AS SELECT * FROM messages_v2; GRANT SELECT ON everything TO PUBLIC",
    "a new view of the owner's alone": "CREATE VIEW everything AS SELECT * FROM messages_v2",
    "a new materialized view": "CREATE MATERIALIZED VIEW everything AS SELECT * FROM messages",
    "a rule": "CREATE RULE drop_it AS ON INSERT TO inbox_notification DO INSTEAD NOTHING",
    "a trigger of another app that is gone": "DROP TRIGGER {trigger} ON rollout_proposal",
    "a trigger on exports": (
        "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER spy BEFORE INSERT ON privacy_export FOR EACH ROW EXECUTE FUNCTION spy()"
    ),
    "foreign keys that nothing holds": "ALTER TABLE inbox_readpointer DISABLE TRIGGER ALL",
    "everybody is one member": "ALTER ROLE carecollective_web SET app.user_id = '00000000-0000-0000-0000-000000000001'",
    "everybody is one member, by the database": (
        "ALTER DATABASE {database} SET app.user_id = '00000000-0000-0000-0000-000000000001'"
    ),
    "a time-out that is gone": "ALTER ROLE carecollective_web RESET statement_timeout",
    "a time-out that is longer": "ALTER ROLE carecollective_guard SET lock_timeout = '1h'",
    "a search path": "ALTER ROLE carecollective_web SET search_path = evil, public",
    "policies that are not applied": "ALTER DATABASE {database} SET row_security = off",
    "triggers that do not run": "ALTER DATABASE {database} SET session_replication_role = replica",
    "somebody who may become the web": "CREATE ROLE mallory; GRANT carecollective_web TO mallory",
    "a right for whatever comes": "ALTER DEFAULT PRIVILEGES FOR ROLE carecollective_owner GRANT SELECT ON TABLES TO carecollective_web",
    "an event trigger": (
        "CREATE FUNCTION spy() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION spy()"
    ),
    "a publication": "CREATE PUBLICATION leak FOR TABLE messages_v2",
    "a table that shows another's rows": (
        "CREATE TABLE everything (LIKE messages_v2); ALTER TABLE messages_v2 INHERIT everything;"
        " GRANT SELECT ON everything TO carecollective_web"
    ),
    "a constraint of another app": "ALTER TABLE profiles DROP CONSTRAINT profiles_email_once",
    "a column that may be empty": "ALTER TABLE moderation_report ALTER reason DROP NOT NULL",
    "a table of the web's": "ALTER TABLE knox_authtoken OWNER TO carecollective_web",
    "a setting that the web may change": "GRANT SET ON PARAMETER session_replication_role TO carecollective_web",
    "the server's files": "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO carecollective_web",
    "the server's passwords": "GRANT SELECT ON pg_authid TO carecollective_web",
}


@pytest.mark.parametrize("statements", UNSEEN.values(), ids=UNSEEN.keys())
def test_it_is_seen(connect_as: Connect, statements: str) -> None:
    session = connect_as("superuser")
    names = {
        "database": session.info.dbname,
        "trigger": session.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'rollout_proposal'::regclass AND tgname LIKE '%rewriting'"
        ).fetchone()[0],  # type: ignore[index]
    }
    session.execute(statements.format(**names).encode())
    session.execute("SET LOCAL SESSION AUTHORIZATION carecollective_ops")
    checks = [*check_structure(session.cursor()), *check_models(session.cursor())]
    assert [check.what for check in checks if not check.ok] != []
