"""Roles belong to the whole server: a second site there is refused, and the first goes on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from carecollective.postgres.dsn import build_url, connection_url, derived_url, parse_url
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.external_server import prepare_server
from carecollective.postgres.ownership import find_other_site
from tests.figures import Figure
from tests.postgres.support import MAY_MAKE_ROLES, User, ask, is_running
from tests.waiting import wait_for

KEY, OTHER_KEY = "the first site's secret key", "another secret key"
SERVICE_ROLES = ("web", "ops", "guard")
TAKE_OVER = "manage.py create_roles --take-over"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("two-sites")
    user = User(data_dir)
    user.wait_until_up()
    for role in SERVICE_ROLES:
        ask(data_dir, f"ALTER ROLE carecollective_{role} RENAME TO the_embedded_servers_{role}", role="superuser")
    ask(data_dir, f"CREATE ROLE operator LOGIN PASSWORD 'theirs' {MAY_MAKE_ROLES}", role="superuser")
    ask(data_dir, "CREATE ROLE limited LOGIN PASSWORD 'theirs'", role="superuser")
    for database in ("care", "neighbour"):
        ask(data_dir, f"CREATE DATABASE {database} OWNER operator", role="superuser")
    yield data_dir
    user.end()
    wait_for(lambda: not is_running(data_dir), seconds=30)


@pytest.fixture
def urls(server: Path) -> Iterator[tuple[str, str]]:
    """The owner's URLs of two databases on one server that knows none of our roles."""
    parameters = parse_url(connection_url(server, "owner", "care"))
    login = {"user": "operator", "password": "theirs"}
    yield (build_url(parameters | login), build_url(parameters | login | {"dbname": "neighbour"}))
    for database in ("care", "neighbour"):
        with psycopg.connect(connection_url(server, "superuser", database), autocommit=True) as superuser:
            for role in SERVICE_ROLES:
                if superuser.execute(
                    "SELECT 1 FROM pg_roles WHERE rolname = %s", [f"carecollective_{role}"]
                ).fetchone():
                    superuser.execute(f"DROP OWNED BY carecollective_{role}".encode())
    for role in SERVICE_ROLES:
        ask(server, f"DROP ROLE IF EXISTS carecollective_{role}", role="superuser")


def signs_in(url: str, key: str) -> bool:
    return roles_that_sign_in(url, key) == len(SERVICE_ROLES)


def roles_that_sign_in(url: str, key: str) -> int:
    signed_in = 0
    for role in SERVICE_ROLES:
        with suppress(psycopg.OperationalError):
            psycopg.connect(derived_url(url, role, key)).close()
            signed_in += 1
    return signed_in


@pytest.mark.parametrize("key", [OTHER_KEY, KEY], ids=["another key", "the same key"])
def test_a_second_site_is_refused_and_the_first_goes_on(urls: tuple[str, str], key: str, figure: Figure) -> None:
    first, second = urls
    prepare_server(first, secret_key=KEY)
    with pytest.raises(PostgresError) as refusal:
        prepare_server(second, secret_key=key)
    assert "belong to the site in the database care" in str(refusal.value)
    assert TAKE_OVER in str(refusal.value)
    figure("the first site's roles that sign in as before", f"{roles_that_sign_in(first, KEY)} of {len(SERVICE_ROLES)}")
    assert signs_in(first, KEY)
    prepare_server(first, secret_key=KEY)


def test_several_hosts_of_one_site_share_its_roles(urls: tuple[str, str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _host: prepare_server(urls[0], secret_key=KEY), range(8)))
    assert signs_in(urls[0], KEY)


def test_of_two_sites_that_start_at_once_one_has_the_roles(urls: tuple[str, str]) -> None:
    def start(url: str, key: str) -> str:
        try:
            prepare_server(url, secret_key=key)
        except PostgresError as refusal:
            return str(refusal)
        return ""

    with ThreadPoolExecutor(2) as pool:
        refusals = list(pool.map(start, urls, (KEY, OTHER_KEY)))
    assert sorted(TAKE_OVER in refusal for refusal in refusals) == [False, True]
    assert [signs_in(urls[0], KEY), signs_in(urls[1], OTHER_KEY)] == [not refusal for refusal in refusals]


def test_another_key_is_refused_until_it_is_taken_over(urls: tuple[str, str]) -> None:
    url = urls[0]
    prepare_server(url, secret_key=KEY)
    with pytest.raises(PostgresError) as refusal:
        prepare_server(url, secret_key=OTHER_KEY)
    assert "DJANGO_SECRET_KEY" in str(refusal.value)
    assert TAKE_OVER in str(refusal.value)
    assert signs_in(url, KEY)

    prepare_server(url, secret_key=OTHER_KEY, take_over=True)
    assert signs_in(url, OTHER_KEY)
    prepare_server(url, secret_key=OTHER_KEY)
    with pytest.raises(PostgresError, match="DJANGO_SECRET_KEY"):
        prepare_server(url, secret_key=KEY)


def test_unmarked_roles_are_ours_if_they_take_our_password(server: Path, urls: tuple[str, str]) -> None:
    first, second = urls
    prepare_server(first, secret_key=KEY)
    for role in SERVICE_ROLES:
        ask(server, f"COMMENT ON ROLE carecollective_{role} IS NULL", role="superuser")
    with pytest.raises(PostgresError) as refusal:
        prepare_server(second, secret_key=OTHER_KEY)
    assert TAKE_OVER in str(refusal.value)
    assert signs_in(first, KEY)
    prepare_server(first, secret_key=KEY)
    with pytest.raises(PostgresError, match="belong to the site in the database care"):
        prepare_server(second, secret_key=KEY)


def test_without_createrole_nobody_is_shown_how_to_take_over(server: Path, urls: tuple[str, str]) -> None:
    """Only on request: if an administrator ran these statements, the first site would stop."""
    first, second = urls
    prepare_server(first, secret_key=KEY)
    ask(server, "ALTER DATABASE neighbour OWNER TO limited", role="superuser")
    limited = build_url(parse_url(second) | {"user": "limited"})
    try:
        with pytest.raises(PostgresError) as refusal:
            prepare_server(limited, secret_key=OTHER_KEY)
        assert "ALTER ROLE" not in str(refusal.value)
        with pytest.raises(PostgresError) as request:
            prepare_server(limited, secret_key=OTHER_KEY, take_over=True)
        assert "COMMENT ON ROLE" in str(request.value)
    finally:
        ask(server, "ALTER DATABASE neighbour OWNER TO operator", role="superuser")
    assert signs_in(first, KEY)


def test_roles_that_come_between_a_look_and_a_change_are_not_taken(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = find_other_site

    def look_and_be_overtaken(*arguments: Any, **named: Any) -> str | None:
        monkeypatch.undo()
        found = look(*arguments, **named)
        prepare_server(urls[0], secret_key=KEY)
        return found

    monkeypatch.setattr("carecollective.postgres.external_server.find_other_site", look_and_be_overtaken)
    with pytest.raises(PostgresError, match=TAKE_OVER):
        prepare_server(urls[1], secret_key=OTHER_KEY)
    assert signs_in(urls[0], KEY)
    assert not signs_in(urls[1], OTHER_KEY)
