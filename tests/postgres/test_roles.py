"""What each role may do before any table of the applications exists, on our server and on an operator's."""

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres import roles
from carecollective.postgres.dsn import build_url, connection_url, derived_url, parse_url
from carecollective.postgres.embedded import credentials
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.external_server import prepare_server
from tests.postgres.conftest import Use
from tests.postgres.support import MAY_MAKE_ROLES, User, ask, is_running
from tests.waiting import wait_for

SECRET_KEY = "a secret key for these tests"
SERVICE_ROLES = ("web", "ops", "guard")


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="care-") as folder:
        user = User(Path(folder))
        user.wait_until_up()
        yield Path(folder)
        user.end()
        wait_for(lambda: not is_running(Path(folder)), seconds=30)


@pytest.fixture
def operator_url(data_dir: Path, use: Use) -> str:
    """An operator's server: a database, the role that owns it, and none of our other roles."""
    use()
    with psycopg.connect(connection_url(data_dir, "superuser", "postgres"), autocommit=True) as superuser:
        for role in ("carecollective_web", "carecollective_ops", "carecollective_guard"):
            superuser.execute(f"ALTER ROLE {role} RENAME TO {role}_of_the_embedded_server".encode())
        superuser.execute("CREATE ROLE operator LOGIN PASSWORD 'theirs'")
        superuser.execute("CREATE DATABASE care OWNER operator")
    parameters = parse_url(connection_url(data_dir, "owner", "care"))
    return build_url({**parameters, "user": "operator", "password": "theirs"})


@pytest.mark.parametrize("role", ["owner", *SERVICE_ROLES])
def test_only_operations_bypasses_policies_and_none_is_superuser(server: Path, role: str) -> None:
    rights = "SELECT rolsuper || ' ' || rolbypassrls || ' ' || rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert ask(server, rights, role=role) == ("false true false" if role == "ops" else "false false false")


@pytest.mark.parametrize("role", ["owner", *SERVICE_ROLES])
def test_no_role_may_become_another_but_the_owner_operations(server: Path, role: str) -> None:
    allowed = {"ops"} if role == "owner" else set()
    with psycopg.connect(connection_url(server, role), autocommit=True) as connection:
        for other in {"owner", *SERVICE_ROLES} - {role} - allowed:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SET ROLE carecollective_{other}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET ROLE postgres")


@pytest.mark.parametrize("role", SERVICE_ROLES)
def test_only_the_owner_makes_tables(server: Path, role: str) -> None:
    with (
        psycopg.connect(connection_url(server, role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE mine ()")


@pytest.mark.parametrize("role", SERVICE_ROLES)
def test_only_the_owner_makes_temporary_things(server: Path, role: str) -> None:
    """A type among them would come before PostgreSQL's own in the functions that act as their owner."""
    with (
        psycopg.connect(connection_url(server, role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE DOMAIN pg_temp.uuid AS text")
    ask(server, "CREATE TEMPORARY TABLE mine (one integer)", role="owner")


def test_operations_read_every_table_now_and_later(server: Path) -> None:
    ask(server, "CREATE TABLE later AS SELECT 1 AS one", role="owner")
    ask(server, "CREATE SCHEMA elsewhere CREATE TABLE too (one integer)", role="owner")
    assert ask(server, "SELECT one FROM later", role="ops") == 1
    assert ask(server, "SELECT count(*) FROM elsewhere.too", role="ops") == 0
    for role in ("web", "guard"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(server, "SELECT one FROM later", role=role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(server, "DELETE FROM later", role="ops")


def test_the_web_gives_up_on_what_takes_too_long(server: Path) -> None:
    assert ask(server, "SHOW statement_timeout") == "3500ms"
    assert ask(server, "SHOW lock_timeout") == "2s"
    assert ask(server, "SHOW idle_in_transaction_session_timeout") == "15s"
    assert ask(server, "SHOW statement_timeout", role="owner") == "0"


def test_a_database_made_by_the_owner_for_tests_has_the_same_rights(server: Path) -> None:
    ask(server, "CREATE DATABASE made_for_a_test", role="owner")
    ask(server, "CREATE TABLE later AS SELECT 1 AS one", role="owner", database="made_for_a_test")
    assert ask(server, "SELECT one FROM later", role="ops", database="made_for_a_test") == 1


def test_creating_the_roles_many_times_at_once_changes_nothing(server: Path) -> None:
    passwords = {role: credentials.passwords(server)[role] for role in ("owner", *SERVICE_ROLES)}

    def create(_: int) -> None:
        with psycopg.connect(connection_url(server, "superuser"), autocommit=True) as connection:
            roles.create_roles(connection, passwords=passwords, owner="carecollective_owner")
            roles.grant_database(connection, database="carecollective", owner="carecollective_owner")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(24)))
    for role in passwords:
        assert ask(server, "SELECT 1", role=role) == 1


def test_a_role_that_was_given_too_much_is_cut_back(server: Path) -> None:
    with psycopg.connect(connection_url(server, "superuser"), autocommit=True) as connection:
        connection.execute("ALTER ROLE carecollective_web SUPERUSER BYPASSRLS CREATEDB CREATEROLE")
        assert not roles.has_right_attributes(connection, "web")
        passwords = {"web": credentials.passwords(server)["web"]}
        roles.create_roles(connection, passwords=passwords, owner="carecollective_owner")
        assert roles.has_right_attributes(connection, "web")


def test_an_operators_owner_with_the_rights_makes_the_roles(data_dir: Path, operator_url: str) -> None:
    with psycopg.connect(connection_url(data_dir, "superuser", "postgres"), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE operator {MAY_MAKE_ROLES}".encode())
    for _ in range(2):
        prepare_server(operator_url, secret_key=SECRET_KEY)
    for role in SERVICE_ROLES:
        with psycopg.connect(derived_url(operator_url, role, SECRET_KEY)) as connection:
            assert connection.info.user == f"carecollective_{role}"


def test_an_owner_without_rights_is_told_what_to_ask_for(data_dir: Path, operator_url: str) -> None:
    with pytest.raises(PostgresError) as refusal:
        prepare_server(operator_url, secret_key=SECRET_KEY)
    request = str(refusal.value)
    statements = re.findall(r"^    (.*);$", request, re.MULTILINE)
    assert any("BYPASSRLS" in statement for statement in statements)
    for role in SERVICE_ROLES:
        password = parse_url(derived_url(operator_url, role, SECRET_KEY))["password"]
        assert password not in request
    with psycopg.connect(connection_url(data_dir, "superuser", "care"), autocommit=True) as administrator:
        for statement in statements:
            administrator.execute(statement.encode())

    prepare_server(operator_url, secret_key=SECRET_KEY)
    with psycopg.connect(derived_url(operator_url, "web", SECRET_KEY)) as connection:
        assert connection.info.user == "carecollective_web"


def test_what_an_administrator_left_out_is_asked_for_and_no_more(data_dir: Path, operator_url: str) -> None:
    with pytest.raises(PostgresError) as refusal:
        prepare_server(operator_url, secret_key=SECRET_KEY)
    statements = re.findall(r"^    (.*);$", str(refusal.value), re.MULTILINE)
    left_out = [said for said in statements if re.search('GRANT "carecollective_ops"|_timeout|CONNECTION LIMIT', said)]
    assert len(left_out) == 1 + 2 * 3 + 1
    with psycopg.connect(connection_url(data_dir, "superuser", "care"), autocommit=True) as administrator:
        for statement in statements:
            if statement not in left_out:
                administrator.execute(statement.encode())
        if administrator.info.server_version >= 160_000:
            administrator.execute("GRANT carecollective_ops TO operator WITH SET FALSE")
        with pytest.raises(PostgresError) as second:
            prepare_server(operator_url, secret_key=SECRET_KEY)
        asked = re.findall(r"^    (.*);$", str(second.value), re.MULTILINE)
        assert sorted(asked) == sorted(left_out)
        for statement in asked:
            administrator.execute(statement.encode())
    prepare_server(operator_url, secret_key=SECRET_KEY)
    with psycopg.connect(operator_url) as owner:
        owner.execute("SET ROLE carecollective_ops")


def test_what_belongs_to_somebody_else_is_named_with_the_statement(data_dir: Path, operator_url: str) -> None:
    with psycopg.connect(connection_url(data_dir, "superuser", "care"), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE operator {MAY_MAKE_ROLES}".encode())
        prepare_server(operator_url, secret_key=SECRET_KEY)
        for statement in (
            "ALTER ROLE operator NOSUPERUSER",
            "CREATE TABLE theirs (one integer)",
            "CREATE VIEW shown AS SELECT 1 AS one",
            "GRANT SELECT ON shown TO operator",
            "CREATE SCHEMA elsewhere",
            "CREATE TABLE elsewhere.ours (one integer)",
            "ALTER TABLE elsewhere.ours OWNER TO operator",
            "CREATE TABLE elsewhere.theirs (one integer)",
            "GRANT USAGE ON SCHEMA elsewhere TO operator",
            "CREATE TABLE ours (one integer)",
            "ALTER TABLE ours OWNER TO operator",
        ):
            superuser.execute(statement.encode())
        with pytest.raises(PostgresError) as refusal:
            prepare_server(operator_url, secret_key=SECRET_KEY)
        statements = re.findall(r"^    (.*);$", str(refusal.value), re.MULTILINE)
        assert 'ALTER TABLE "public"."theirs" OWNER TO "operator"' in statements
        assert 'ALTER TABLE "public"."shown" OWNER TO "operator"' in statements
        assert 'GRANT USAGE ON SCHEMA "elsewhere" TO "operator", "carecollective_ops"' in statements
        assert 'GRANT SELECT ON "elsewhere"."theirs" TO "operator", "carecollective_ops"' in statements
        for statement in statements:
            superuser.execute(statement.encode())
    prepare_server(operator_url, secret_key=SECRET_KEY)
    with psycopg.connect(derived_url(operator_url, "ops", SECRET_KEY)) as operations:
        for table in ("theirs", "shown", "elsewhere.ours", "elsewhere.theirs"):
            operations.execute(f"SELECT * FROM {table}".encode())


def test_a_database_url_of_the_web_role_is_refused(server: Path) -> None:
    with pytest.raises(PostgresError, match="DATABASE_URL must name the role that owns the database"):
        prepare_server(connection_url(server, "web"), secret_key=SECRET_KEY)


def test_an_owner_of_no_tables_is_told_what_to_ask_for(data_dir: Path, operator_url: str) -> None:
    """A database of another role's, its schema made before PostgreSQL 15: nothing may be granted or revoked in it."""
    with psycopg.connect(connection_url(data_dir, "superuser", "care"), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE operator {MAY_MAKE_ROLES}".encode())
        prepare_server(operator_url, secret_key=SECRET_KEY)
        superuser.execute("ALTER ROLE operator NOSUPERUSER")
        for statement in (
            "ALTER DATABASE care OWNER TO postgres",
            "ALTER SCHEMA public OWNER TO postgres",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "GRANT TEMPORARY ON DATABASE care TO PUBLIC",
            "REVOKE CONNECT ON DATABASE care FROM carecollective_guard, PUBLIC",
            "GRANT CONNECT ON DATABASE care TO operator",
        ):
            superuser.execute(statement.encode())
        with pytest.raises(PostgresError) as refusal:
            prepare_server(operator_url, secret_key=SECRET_KEY)
        statements = re.findall(r"^    (.*);$", str(refusal.value), re.MULTILINE)
        assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in statements
        assert any("TEMPORARY" in statement for statement in statements)
        assert any("CONNECT" in statement and "carecollective_guard" in statement for statement in statements)
        for statement in statements:
            superuser.execute(statement.encode())
    prepare_server(operator_url, secret_key=SECRET_KEY)
