"""An unsupported database is refused in one sentence, before anything is made in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres.dsn import build_url, connection_url, parse_url
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.external_server import prepare_server, refuse_unsupported
from tests.postgres.support import User, ask, is_running
from tests.waiting import wait_for

KEY = "a secret key for these tests"
NEW = "CREATE DATABASE {} OWNER operator TEMPLATE template0 "
Database = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("supported")
    user = User(data_dir)
    user.wait_until_up()
    for role in ("web", "ops", "guard"):
        ask(data_dir, f"ALTER ROLE carecollective_{role} RENAME TO the_embedded_servers_{role}", role="superuser")
    ask(data_dir, "CREATE ROLE operator SUPERUSER LOGIN PASSWORD 'theirs'", role="superuser")
    yield data_dir
    user.end()
    wait_for(lambda: not is_running(data_dir), seconds=30)


@pytest.fixture
def database(server: Path) -> Database:
    """Make a database of an operator's: `database("latin", "ENCODING 'LATIN1' LOCALE 'C'")`; return its owner's URL."""

    def make(name: str, options: str, *statements: str) -> str:
        ask(server, NEW.format(name) + options, role="superuser")
        for statement in statements:
            ask(server, statement, role="superuser", database=name)
        return build_url(parse_url(connection_url(server, "owner", name)) | {"user": "operator", "password": "theirs"})

    return make


@pytest.mark.parametrize(
    ("options", "statements", "words"),
    [
        ("ENCODING 'LATIN1' LOCALE 'C'", (), "is encoded as LATIN1"),
        ("ENCODING 'SQL_ASCII' LOCALE 'C'", (), "is encoded as SQL_ASCII"),
        (
            "",
            ("CREATE SCHEMA elsewhere", "ALTER DATABASE {name} SET search_path = elsewhere"),
            "in the schema elsewhere",
        ),
        ("", ("CREATE SCHEMA operator",), "in the schema operator"),
        ("", ("DROP SCHEMA public",), "in no schema"),
    ],
    ids=["latin1", "ascii", "a search path", "a schema named like the role", "no public"],
)
def test_another_kind_of_database_is_refused_before_anything_is_made(
    server: Path, database: Database, options: str, statements: tuple[str, ...], words: str
) -> None:
    name = f"refused_{sum(map(ord, options + ''.join(statements)))}"
    url = database(name, options, *(statement.format(name=name) for statement in statements))
    with pytest.raises(PostgresError) as refusal:
        prepare_server(url, secret_key=KEY)
    assert words in str(refusal.value)
    assert str(refusal.value).count("\n") == 0
    assert ask(server, "SELECT count(*) FROM pg_roles WHERE rolname = 'carecollective_web'", role="superuser") == 0


@pytest.mark.parametrize("locale", ["LOCALE 'C'", "LOCALE_PROVIDER libc LOCALE 'C.UTF-8'"])
def test_any_collation_will_do(database: Database, locale: str) -> None:
    url = database(f"collated_{sum(map(ord, locale))}", f"ENCODING 'UTF8' {locale}")
    with psycopg.connect(url) as connection:
        refuse_unsupported(connection)


@pytest.mark.parametrize("version", [140_012, 190_000])
def test_other_versions_are_refused_in_a_sentence(database: Database, version: int) -> None:
    class Old:
        def __init__(self, info: psycopg.ConnectionInfo) -> None:
            self.dbname, self.user, self.server_version = info.dbname, info.user, version

    class Connection(psycopg.Connection[tuple[object, ...]]):
        @property
        def info(self) -> Old:  # type: ignore[override]
            return Old(super().info)

    with Connection.connect(database(f"version_{version}", "")) as connection, pytest.raises(PostgresError) as refusal:
        refuse_unsupported(connection)
    assert str(refusal.value).startswith("PostgreSQL 15 to 18 is needed")
