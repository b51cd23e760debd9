"""Statements by hand are prepared once for each connection, and survive every migration that the site survives."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from django.conf import settings
from django.db import Error, connection
from django.test.utils import CaptureQueriesContext
from psycopg import _queries

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, connected_as, fetch_all, fetch_one
from carecollective.inbox.queries import LISTS
from carecollective.postgres.backend.prepared import LONGEST_READ_ONCE, Prepared
from carecollective.postgres.dsn import connection_url
from tests import databases

NAMES = Prepared("SELECT id, name::text FROM profiles WHERE id = %s")
UNCAST = Prepared("SELECT id, name FROM profiles WHERE id = %s")
MEMBER = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def as_web(committed_db: None) -> Iterator[None]:
    """Serve this thread as the web's processes are served: the web role's own connection."""
    with connected_as(connection_url(settings.DATA_DIR, "web", settings.DATABASES["default"]["NAME"])):
        yield


def change(*statements: str) -> None:
    """Change the database as its superuser, on another connection, and commit."""
    url = databases.superuser_url(settings.DATA_DIR, settings.DATABASES["default"]["NAME"])
    with psycopg.connect(url) as session:
        for statement in statements:
            session.execute(statement.encode())


def prepared() -> set[str]:
    return {statement for (statement,) in fetch_all("SELECT statement FROM pg_prepared_statements")}


def test_only_what_is_marked_is_prepared_at_its_first_use(as_web: None) -> None:
    for _number in range(8):
        fetch_one("SELECT count(*) FROM profiles WHERE id = %s", [MEMBER])
        User.objects.filter(pk=MEMBER).exists()
    assert prepared() == set()
    fetch_one(NAMES, [MEMBER])
    assert prepared() == {NAMES.replace("%s", "$1")}


def test_times_are_read_as_django_reads_them(as_web: None) -> None:
    moments = ("2026-11-29 10:00:00.123456+01", "0001-01-01 00:00:00+00", "2024-02-29 23:59:59+00")
    for moment in moments:
        (found,) = fetch_one("SELECT %s::timestamptz", [moment]) or ()
        assert (found.isoformat(), found.tzinfo) == (datetime.fromisoformat(moment).astimezone(UTC).isoformat(), UTC)
    streamed = User.objects.values_list("created_at", flat=True).iterator(chunk_size=2)
    assert all(created.tzinfo is UTC for created in streamed)


def test_behind_a_pooler_nothing_is_prepared(as_web: None) -> None:
    connection.close()
    connection.settings_dict = {**connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS": True}
    fetch_one(NAMES, [MEMBER])
    assert prepared() == set()


def test_a_migration_breaks_no_prepared_statement_of_a_worker(as_web: None) -> None:
    change(f"INSERT INTO profiles (id, name, email) VALUES ('{MEMBER}', 'Ada', 'ada@example.org')")
    for changes in (
        (),
        ("ALTER TABLE profiles ALTER COLUMN name TYPE varchar(300)",),
        ("ALTER TABLE profiles ADD COLUMN shoe_size integer NOT NULL DEFAULT 7",),
        ("ALTER TABLE profiles ALTER COLUMN name TYPE text", "ALTER TABLE profiles DROP COLUMN shoe_size"),
        ("CREATE INDEX profiles_shoe ON profiles (name)", "ANALYZE profiles"),
    ):
        change(*changes)
        assert [str(value) for value in fetch_one(NAMES, [MEMBER]) or ()] == [MEMBER, "Ada"]


def test_without_the_cast_it_would_break(as_web: None) -> None:
    fetch_one(UNCAST, [MEMBER])
    change("ALTER TABLE profiles ALTER COLUMN name TYPE varchar(300)")
    with pytest.raises(Error, match="cached plan must not change result type"):
        fetch_one(UNCAST, [MEMBER])


def test_a_member_begins_to_act_in_the_same_round_trip(as_web: None) -> None:
    member = User(pk=MEMBER)
    with CaptureQueriesContext(connection) as made, acting_as(member):
        assert [str(row[0]) for row in fetch_all("SELECT public.current_member()")] == [MEMBER]
    assert [query["sql"] for query in made] == ["BEGIN", "SELECT public.current_member()", "COMMIT"]
    assert fetch_all("SELECT public.current_member()") == [(None,)]


def test_a_connection_that_has_just_answered_is_not_asked_again(as_web: None) -> None:
    fetch_all("SELECT 1")
    held = connection.connection
    before = held.answered_at
    assert connection.is_usable()
    assert held.answered_at == before
    held.answered_at -= 10
    assert connection.is_usable()
    assert held.answered_at > before


def test_a_connection_that_the_server_has_ended_is_known_at_once(as_web: None) -> None:
    ((pid,),) = fetch_all("SELECT pg_backend_pid()")
    change(f"SELECT pg_terminate_backend({pid}, 5000)")
    assert not connection.is_usable()


def test_nobody_acts_on_after_an_error_at_the_beginning(as_web: None) -> None:
    with pytest.raises(Error), acting_as(User(pk=MEMBER)):
        fetch_all("SELECT 1 / 0")
    assert fetch_all("SELECT public.current_member()") == [(None,)]


def test_a_long_statement_is_read_once(as_web: None) -> None:
    longest = max((statement for statement in LISTS.values()), key=len)
    assert 4_096 < len(longest) < LONGEST_READ_ONCE
    read = _queries._query2pg.cache_info
    statement = Prepared(f"SELECT %s -- {'x' * 5_000}")
    for _number in range(3):
        before = read().hits
        assert fetch_one(statement, [1]) == (1,)
    assert read().hits == before + 1
