import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.utils import DataError

from carecollective.core.database import (
    ClockTimestamp,
    acting_as,
    connected_as,
    discarding_changes,
    fetch_all_as,
    fetch_each,
    fetch_one_as,
)
from carecollective.core.models import WorkerHeartbeat
from carecollective.postgres.dsn import connection_url


def acting():
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.current_member()")
        return cursor.fetchone()[0]


def test_nobody_acts_until_somebody_does(db):
    assert acting() is None


def test_a_member_acts_for_the_length_of_a_block(db, member):
    ada = member()
    with acting_as(ada):
        assert acting() == ada.pk
    assert acting() is None


def test_the_name_does_not_outlive_the_transaction(committed_db, member):
    ada = member()
    with acting_as(ada):
        assert acting() == ada.pk
        assert connection.in_atomic_block
    assert not connection.in_atomic_block
    assert acting() is None
    with acting_as(ada), pytest.raises(ZeroDivisionError), transaction.atomic():
        1 / 0  # noqa: B018
    assert acting() is None


WHO_ACTS = "SELECT public.current_member()"


def test_one_query_runs_as_a_member_and_leaves_no_name(committed_db, member):
    ada, ben = member(), member()
    for _number in range(3):
        assert fetch_one_as(ada, WHO_ACTS) == (ada.pk,)
        assert acting() is None
    with pytest.raises(DataError):
        fetch_all_as(ada, "SELECT 1 / 0")
    assert acting() is None
    with acting_as(ben):
        assert fetch_one_as(ada, WHO_ACTS) == (ada.pk,)
        assert fetch_all_as(ben, WHO_ACTS) == [(ben.pk,)]
        assert acting() == ben.pk
    assert not connection.in_atomic_block


def test_two_statements_in_one_trip_are_kept_or_lost_together(committed_db, member):
    rename = "UPDATE profiles SET name = %s WHERE id = %s"
    ada = member(name="Ada")
    with pytest.raises(DataError):
        fetch_each((rename, ["Lost", ada.pk]), ("SELECT 1 / 0", None))
    assert fetch_each((rename, ["Kept", ada.pk]), ("SELECT name FROM profiles WHERE id = %s", [ada.pk]))[1] == [
        ("Kept",)
    ]
    assert fetch_one_as(ada, "SELECT name FROM profiles WHERE id = %s", [ada.pk]) == ("Kept",)
    with transaction.atomic():
        fetch_each((rename, ["Rolled back", ada.pk]), ("SELECT 1", None))
        transaction.set_rollback(True)
    assert fetch_one_as(ada, "SELECT name FROM profiles WHERE id = %s", [ada.pk]) == ("Kept",)


def test_what_came_while_the_first_statement_waited_is_seen(committed_db, member, connect_as):
    ada = member(name="Ada")
    locker = connect_as("superuser")
    locker.execute("SELECT pg_advisory_xact_lock(4711)")
    locker.execute("UPDATE profiles SET name = 'Ada L.' WHERE id = %s", [ada.pk])

    def commit_later():
        time.sleep(0.3)
        locker.commit()

    with ThreadPoolExecutor() as pool, transaction.atomic():
        pool.submit(commit_later)
        read = "SELECT name FROM profiles WHERE id = %s"
        assert fetch_each(("SELECT pg_advisory_xact_lock(4711)", None), (read, [ada.pk]))[1] == [("Ada L.",)]


def test_a_block_within_a_block_of_the_same_member_changes_nothing(db, member):
    ada = member()
    with acting_as(ada):
        with acting_as(ada):
            assert acting() == ada.pk
        assert acting() == ada.pk


def test_a_block_within_another_members_gives_the_name_back(db, member):
    ada, ben = member(), member()
    with acting_as(ada):
        with acting_as(ben):
            assert acting() == ben.pk
        assert acting() == ada.pk
        with pytest.raises(LookupError), acting_as(ben):
            raise LookupError
        assert acting() == ada.pk
    assert acting() is None


def test_after_a_refusal_nobody_acts_and_nothing_is_kept(db, member):
    ada = member()
    with pytest.raises(LookupError), acting_as(ada):
        WorkerHeartbeat.objects.create(name="half written")
        raise LookupError
    assert acting() is None
    assert not WorkerHeartbeat.objects.filter(name="half written").exists()


def test_an_error_of_the_databases_undoes_the_whole_block(committed_db, member):
    ada = member()
    with pytest.raises(DataError), acting_as(ada):
        WorkerHeartbeat.objects.create(name="half written")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
    assert not WorkerHeartbeat.objects.filter(name="half written").exists()
    assert acting() is None


def test_a_name_of_the_sessions_would_have_stayed(committed_db):
    """Sees what `acting_as` avoids: with session scope the next request on this connection would be somebody."""
    somebody = uuid4()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.user_id', %s, false)", [str(somebody)])
    assert acting() == somebody


def test_the_clock_goes_on_within_a_transaction(db):
    def now(kind):
        return WorkerHeartbeat.objects.annotate(now=kind).values_list("now", flat=True).get(name="clock")

    WorkerHeartbeat.objects.create(name="clock")
    assert now(ClockTimestamp()) < now(ClockTimestamp())


def session_user():
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user")
        return cursor.fetchone()[0]


def test_another_role_is_one_threads_own(committed_db):
    before = session_user()
    with (
        ThreadPoolExecutor(1) as thread,
        connected_as(connection_url(settings.DATA_DIR, "web")),
    ):
        assert session_user() == "carecollective_web"
        assert thread.submit(session_user).result() == before
        thread.submit(connections.close_all).result()
    assert session_user() == before


def test_what_is_taken_back_leaves_the_callers_transaction_as_it_was(db):
    with discarding_changes():
        WorkerHeartbeat.objects.create(name="gone")
    assert not WorkerHeartbeat.objects.filter(name="gone").exists()
    with pytest.raises(LookupError), discarding_changes():
        WorkerHeartbeat.objects.create(name="gone")
        raise LookupError
    assert not WorkerHeartbeat.objects.exists()
