"""Connection URLs mean the same to libpq, to psql and to Django."""

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carecollective.postgres.dsn import (
    NETWORK_LIMITS,
    build_url,
    check_direct_url,
    connection_url,
    database_settings,
    derived_url,
    parse_url,
    pooled_settings,
)
from carecollective.postgres.embedded.binaries import bin_dir
from carecollective.postgres.embedded.credentials import secret_key
from carecollective.postgres.errors import PostgresError
from tests.postgres.conftest import Use


def test_psql_takes_the_url_as_it_is_printed(home: Path, use: Use) -> None:
    folder = home / "mit Leerzeichen & Ümläuten"
    use(folder)
    answer = subprocess.run(
        [bin_dir() / "psql", connection_url(folder, "ops"), "-Atc", "SELECT current_user"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "carecollective_ops"


def test_a_url_can_be_had_before_the_first_start(data_dir: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        urls = set(pool.map(lambda _: connection_url(data_dir), range(32)))
    assert len(urls) == 1
    assert stat.S_IMODE((data_dir / "credentials.json").stat().st_mode) == 0o600


def test_the_secret_key_is_made_once_and_kept_private(data_dir: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(data_dir), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) > 50
    assert stat.S_IMODE((data_dir / "secret_key").stat().st_mode) == 0o600


DIRECT = "postgresql://boss:secret@db.example:5432/care"
POOLED = "postgresql://boss:secret@pooler.example:6432/care"


def test_beside_a_pooler_there_is_a_way_past_it() -> None:
    check_direct_url(POOLED, DIRECT)
    web = pooled_settings(POOLED, DIRECT)
    assert (web["HOST"], web["DIRECT"]["HOST"], web["DIRECT"]["PORT"]) == ("pooler.example", "db.example", "5432")
    assert web["DISABLE_SERVER_SIDE_CURSORS"] is True


@pytest.mark.parametrize(
    "direct_url",
    [
        DIRECT.replace("/care", "/another"),
        DIRECT.removesuffix("/care"),
        DIRECT.replace("secret", "sec/ret"),
        DIRECT.replace("5432", "port"),
    ],
)
def test_a_direct_url_that_leads_elsewhere_or_nowhere_is_refused(direct_url: str) -> None:
    with pytest.raises(PostgresError, match=r"^DATABASE_DIRECT_URL .*\.$") as refusal:
        check_direct_url(POOLED, direct_url)
    assert "ret@" not in str(refusal.value)


def test_the_owner_keeps_the_url_and_other_roles_derive_theirs() -> None:
    url = "postgres://boss:p%40ss@db.example:6432/care?sslmode=require"
    assert derived_url(url, "owner", "key") == url
    web = parse_url(derived_url(url, "web", "key"))
    assert web == {**parse_url(url), "user": "carecollective_web", "password": web["password"]}
    assert web["password"] == parse_url(derived_url(url, "web", "key"))["password"]
    assert web["password"] != parse_url(derived_url(url, "web", "other key"))["password"]
    assert web["password"] != parse_url(derived_url(url, "ops", "key"))["password"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%2F%3A%40@db.example:6432/care?sslmode=verify-full&application_name=a%20b",
        "postgresql://u@[::1]:5432/care",
        "postgresql://u:p@one:1,two:2/care?target_session_attrs=read-write",
        "postgresql://u:p@/care?host=%2Fvar%2Frun%2Fpost%20gres",
        "postgresql:///care",
    ],
)
def test_a_url_survives_being_taken_apart_and_put_together(url: str) -> None:
    assert parse_url(build_url(parse_url(url))) == parse_url(url)


def test_django_connects_by_the_url_and_binds_on_the_server() -> None:
    url = "postgresql://u:p%40@db.example:6432/care?sslmode=require&connect_timeout=7"
    settings = database_settings(url)
    assert settings == {
        "ENGINE": "carecollective.postgres.backend",
        "NAME": "care",
        "USER": "u",
        "PASSWORD": "p@",
        "HOST": "db.example",
        "PORT": "6432",
        "OPTIONS": {**NETWORK_LIMITS, "connect_timeout": "7", "sslmode": "require", "server_side_binding": True},
    }


@pytest.mark.parametrize("url", ["mysql://u@h/db", "care", "postgresql://h/db?nonsense=1", "postgresql://h:port:2/db"])
def test_a_malformed_url_is_refused_naming_the_variable(url: str) -> None:
    with pytest.raises(PostgresError, match=r"^DATABASE_URL .*\.$"):
        database_settings(url)


def test_an_unknown_role_is_refused_in_a_sentence(data_dir: Path) -> None:
    with pytest.raises(PostgresError, match=r"^DATABASE_ROLE must be owner, web, ops or guard, not 'root'\.$"):
        connection_url(data_dir, "root")


def test_postgres_bin_wins_over_the_wheel(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for program in ("initdb", "postgres"):
        (home / program).touch()
    monkeypatch.setenv("POSTGRES_BIN", str(home))
    bin_dir.cache_clear()
    try:
        assert bin_dir() == home
        monkeypatch.setenv("POSTGRES_BIN", str(home / "missing"))
        bin_dir.cache_clear()
        with pytest.raises(PostgresError, match="POSTGRES_BIN must be a folder"):
            bin_dir()
    finally:
        monkeypatch.undo()
        bin_dir.cache_clear()
