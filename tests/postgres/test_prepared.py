"""Statements by hand are prepared once for each connection, and survive every migration that the site survives."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import DataError, Error, IntegrityError, OperationalError, connection, transaction
from django.db.models.expressions import RawSQL
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from carecollective.accounts.models import User
from carecollective.core.database import (
    acting_as,
    connected_as,
    discarding_changes,
    fetch_all,
    fetch_each,
    fetch_last,
    fetch_last_and_next,
    fetch_one,
    fetch_one_as_and_next,
    model_from_row,
)
from carecollective.postgres.backend.prepared import Prepared
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


def test_what_a_person_typed_is_never_part_of_a_statement(as_web: None) -> None:
    typed = "100%s %(name)s %% '; DROP TABLE profiles; -- \\"
    statement = Prepared("SELECT %(first)s::text, %(second)s::int %% 4, %(first)s::text, '%%s'")
    for _number in range(2):
        assert fetch_one(statement, {"first": typed, "second": 6, "third": "not asked for"}) == (typed, 2, typed, "%s")
    assert fetch_one("SELECT '%s', 5 % 3") == ("%s", 2)
    with pytest.raises(Error, match="parameters"):
        fetch_one(Prepared("SELECT %s::int + %s::int"), [1])
    with pytest.raises(KeyError):
        fetch_one(statement, {"first": typed})


def test_each_kind_of_value_is_prepared_for_itself(as_web: None) -> None:
    anything = Prepared("SELECT %(value)s::text")
    for value, text in ((1, "1"), (None, None), (2**40, str(2**40)), ("Ada", "Ada"), (True, "true"), (1, "1")):
        assert fetch_one(anything, {"value": value}) == (text,)
    kinds = fetch_all("SELECT parameter_types::text FROM pg_prepared_statements WHERE statement = 'SELECT $1::text'")
    assert sorted(kind for (kind,) in kinds) == ["{bigint}", "{boolean}", "{smallint}", "{text}"]


def test_statements_in_one_trip_are_prepared_once(as_web: None) -> None:
    for _number in range(3):
        assert fetch_each((NAMES, [MEMBER]), (NAMES, [MEMBER]), ("SELECT 1", None)) == [[], [], [(1,)]]
    # Both of the first trip, for neither was known when it began.
    assert fetch_all("SELECT count(*) FROM pg_prepared_statements") == [(2,)]


def test_a_refused_statement_leaves_the_connection_usable(as_web: None) -> None:
    held = fetch_all("SELECT pg_backend_pid()")
    broken = Prepared("SELECT nothing FROM nowhere WHERE id = %s")
    for refused in (("SELECT 1 / 0", None), (broken, [1]), (Prepared("SELECT 1 / %s"), [0]), ("NONSENSE", None)):
        for place in range(3):
            asked: list[tuple[str, Any]] = [(NAMES, [MEMBER]), ("SELECT 1", None)]
            asked.insert(place, refused)
            with pytest.raises(Error):
                fetch_each(*asked)
            with pytest.raises(Error), acting_as(User(pk=MEMBER)):
                fetch_each(*asked)
            assert fetch_each(("SELECT pg_backend_pid()", None), (NAMES, [MEMBER])) == [held, []]
    with transaction.atomic():
        with pytest.raises(Error):
            fetch_all("SELECT 1 / 0")
        with pytest.raises(Error, match="current transaction is aborted"):
            fetch_all("SELECT 1")
        transaction.set_rollback(True)
    assert fetch_all("SELECT public.current_member()") == [(None,)]


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_connection_lost_while_it_waits_is_an_operational_error(as_web: None, asked: int) -> None:
    ((pid,),) = fetch_all("SELECT pg_backend_pid()")
    end = threading.Timer(0.3, change, [f"SELECT pg_terminate_backend({pid})"])
    end.start()
    waiting: list[tuple[str, Any]] = [(Prepared("SELECT pg_sleep(20)"), None), (NAMES, [MEMBER]), ("SELECT 1", None)]
    with pytest.raises(OperationalError):
        fetch_each(*waiting[:asked])
    end.join()
    connection.close_if_unusable_or_obsolete()
    assert fetch_all(NAMES, [MEMBER]) == []


def test_a_table_made_anew_is_read_by_the_same_statement(as_web: None) -> None:
    change("CREATE TABLE shoes (id integer)", "GRANT SELECT ON shoes TO PUBLIC", "INSERT INTO shoes VALUES (1)")
    shoes = Prepared("SELECT id FROM shoes WHERE id > %s")
    assert fetch_all(shoes, [0]) == [(1,)]
    change("DROP TABLE shoes", "CREATE TABLE shoes (size integer, id integer)", "GRANT SELECT ON shoes TO PUBLIC")
    change("INSERT INTO shoes VALUES (7, 2)")
    assert fetch_all(shoes, [0]) == [(2,)]


def test_a_rollback_forgets_no_prepared_statement(as_web: None) -> None:
    fetch_one(NAMES, [MEMBER])
    with transaction.atomic():
        fetch_one(NAMES, [MEMBER])
        transaction.set_rollback(True)
    assert prepared() == {NAMES.replace("%s", "$1"), "BEGIN"}


def test_whatever_comes_first_the_member_acts(as_web: None) -> None:
    """The transaction of a member begins with its first statement: by hand, by the ORM, by a savepoint or by a cursor."""
    change(f"INSERT INTO profiles (id, name, email) VALUES ('{MEMBER}', 'Ada', 'ada@example.org')")
    who = "SELECT public.current_member()"

    def by_cursor() -> Any:
        with connection.cursor() as cursor:
            return cursor.execute(who).fetchone()

    def in_savepoint() -> Any:
        with transaction.atomic():
            return fetch_one(who)

    ways: Sequence[Callable[[], Any]] = (
        lambda: fetch_one(who),
        by_cursor,
        in_savepoint,
        lambda: fetch_each(("SELECT 1", None), (who, None))[1][0],
        lambda: User.objects.values_list(RawSQL("public.current_member()", [])).first(),
    )
    for ask in ways:
        with acting_as(User(pk=MEMBER)):
            assert [str(member) for member in ask()] == [MEMBER]
        assert fetch_one(who) == (None,)


def test_a_value_that_cannot_be_sent_leaves_the_member_acting(as_web: None) -> None:
    change(f"INSERT INTO profiles (id, name, email) VALUES ('{MEMBER}', 'Ada', 'ada@example.org')")
    with acting_as(User(pk=MEMBER)):
        with pytest.raises(DataError, match="NUL"):
            fetch_one(Prepared("SELECT %s::text"), ["a\0b"])
        assert [str(member) for member in fetch_one("SELECT public.current_member()") or ()] == [MEMBER]


def test_a_transaction_without_a_statement_asks_nothing(as_web: None) -> None:
    ((pid,),) = fetch_all("SELECT pg_backend_pid()")
    url = databases.superuser_url(settings.DATA_DIR, settings.DATABASES["default"]["NAME"])
    with psycopg.connect(url, autocommit=True) as watcher:
        asked = "SELECT state_change FROM pg_stat_activity WHERE pid = %s"
        before = watcher.execute(asked, [pid]).fetchone()
        with acting_as(User(pk=MEMBER)):
            pass
        with suppress(KeyError), acting_as(User(pk=MEMBER)):
            raise KeyError
        assert watcher.execute(asked, [pid]).fetchone() == before
    with transaction.atomic():
        assert fetch_one("SELECT public.current_member()") == (None,)


@pytest.fixture
def shoes(as_web: None) -> Prepared:
    """Return a statement that writes into a table of the web's, whose foreign key is checked when the transaction ends."""
    change(
        "CREATE TABLE shoes (id integer PRIMARY KEY, pair integer REFERENCES shoes DEFERRABLE INITIALLY DEFERRED)",
        "GRANT SELECT, INSERT ON shoes TO PUBLIC",
    )
    return Prepared("INSERT INTO shoes VALUES (%(id)s, %(pair)s) RETURNING id")


def stored() -> list[int]:
    """Return the shoes that others see."""
    with psycopg.connect(databases.superuser_url(settings.DATA_DIR, settings.DATABASES["default"]["NAME"])) as other:
        return [key for (key,) in other.execute("SELECT id FROM shoes ORDER BY id").fetchall()]


def test_the_last_statement_commits_in_its_own_round_trip(shoes: Prepared) -> None:
    with acting_as(User(pk=MEMBER), commits_with_last=True):
        fetch_one(shoes, {"id": 1, "pair": 1})
        assert stored() == []
        assert fetch_last(shoes, {"id": 2, "pair": 1}) == [(2,)]
        assert stored() == [1, 2]
        with pytest.raises(TransactionManagementError):
            fetch_one("SELECT 1")
        with pytest.raises(TransactionManagementError):
            User.objects.exists()
    assert fetch_one("SELECT public.current_member()") == (None,)
    with transaction.atomic():
        assert fetch_last(shoes, {"id": 3, "pair": 1}) == [(3,)]
        assert stored() == [1, 2]


def test_a_block_within_another_commits_nothing_early(shoes: Prepared) -> None:
    member = User(pk=MEMBER)
    for around in (lambda: acting_as(member), transaction.atomic, discarding_changes):
        with around():
            with acting_as(member, commits_with_last=True):
                fetch_last(shoes, {"id": 1, "pair": 1})
                assert stored() == []
            fetch_one("SELECT 1")
            transaction.set_rollback(True)
        assert stored() == []
    with acting_as(member, commits_with_last=True), acting_as(member), transaction.atomic():
        fetch_last(shoes, {"id": 1, "pair": 1})
        assert stored() == []


def test_what_fails_in_the_last_statement_or_its_commit_is_lost(shoes: Prepared) -> None:
    member = User(pk=MEMBER)
    for wrong in ({"id": 1, "pair": 99}, {"id": 2, "pair": 2}):
        with pytest.raises(IntegrityError), acting_as(member, commits_with_last=True):
            fetch_one(shoes, {"id": 2, "pair": 2})
            fetch_last(shoes, wrong)
        assert stored() == []
    assert fetch_one("SELECT public.current_member()") == (None,)


def test_what_goes_with_the_commit_is_a_transaction_of_its_own(shoes: Prepared) -> None:
    member, other = User(pk=MEMBER), User(pk=UUID(int=2))
    who = Prepared("SELECT public.current_member()::text, count(*) FROM shoes")
    last = (shoes, {"id": 1, "pair": 1})
    with acting_as(member, commits_with_last=True):
        assert fetch_last_and_next(other, last, who) == ([(1,)], [(str(other.pk), 1)])
        assert stored() == [1]
    assert fetch_one("SELECT public.current_member()") == (None,)
    with acting_as(member, commits_with_last=True), transaction.atomic():
        assert fetch_last_and_next(other, (shoes, {"id": 2, "pair": 1}), who) == ([(2,)], None)
        assert stored() == [1]


@pytest.mark.parametrize("failing", ["SELECT 1 / 0", "SELECT no_such_column FROM shoes"])
@pytest.mark.parametrize("kind", [str, Prepared])
def test_what_goes_with_the_commit_may_fail(shoes: Prepared, failing: str, kind: type[str]) -> None:
    member = User(pk=MEMBER)
    for number in (1, 2, 3):
        with acting_as(member, commits_with_last=True):
            found = fetch_last_and_next(member, (shoes, {"id": number, "pair": 1}), kind(failing))
            assert found == ([(number,)], None)
        assert fetch_one("SELECT count(*) FROM shoes") == (number,)
    with pytest.raises(IntegrityError), acting_as(member, commits_with_last=True):
        fetch_last_and_next(member, (shoes, {"id": 4, "pair": 99}), "SELECT 1")
    assert stored() == [1, 2, 3]


def test_a_query_may_take_another_along_that_may_fail(shoes: Prepared) -> None:
    member = User(pk=MEMBER)
    who = Prepared("SELECT public.current_member()::text")
    for _number in range(3):
        assert fetch_one_as_and_next(member, (who, None), who) == ((MEMBER,), [(MEMBER,)])
        assert fetch_one_as_and_next(member, (who, None), "SELECT 1 / 0") == ((MEMBER,), None)
        assert fetch_one_as_and_next(member, ("SELECT 1 WHERE false", None), who) == (None, [(MEMBER,)])
        assert fetch_one("SELECT public.current_member()") == (None,)
    with pytest.raises(DataError):
        fetch_one_as_and_next(member, ("SELECT 1 / 0", None), who)
    with acting_as(member):
        assert fetch_one_as_and_next(member, (who, None), who) == ((MEMBER,), None)
    with CaptureQueriesContext(connection):
        assert fetch_one_as_and_next(member, (who, None), who) == ((MEMBER,), None)


def test_a_model_of_a_row_is_as_the_orm_reads_it(as_web: None) -> None:
    change(f"INSERT INTO profiles (id, name, email) VALUES ('{MEMBER}', 'Ada', 'ada@example.org')")
    wanted = User.objects.get(pk=MEMBER)
    columns = [field.attname for field in User._meta.concrete_fields]
    made = model_from_row(User, columns, [getattr(wanted, column) for column in columns])
    assert (made, made._state.adding, made._state.db) == (wanted, False, wanted._state.db)
    assert {name: value for name, value in vars(made).items() if name != "_state"} == {
        name: value for name, value in vars(wanted).items() if name != "_state"
    }
    partly = model_from_row(User, ["id", "name"], [wanted.pk, "Ada"])
    assert "email" in partly.get_deferred_fields()
    assert partly.email == "ada@example.org"
    with pytest.raises(ValueError, match="zip"):
        model_from_row(User, ["id", "name"], [wanted.pk])
