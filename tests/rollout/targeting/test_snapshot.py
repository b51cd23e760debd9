import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from rollout.models import Flag
from rollout.stages import DISABLED, ENABLED, Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import Reason, decision_for
from rollout.targeting.state import MISSING, UNKNOWN, RolloutState
from rollout.versions import MessagingVersion
from tests.rollout.conftest import MakeUser, Move
from tests.waiting import wait_for

Connect = Callable[..., "psycopg.Connection[Any]"]
FORK = """
import django, json, os, sys
django.setup()
from django.conf import settings
settings.ROLLOUT_SNAPSHOT = "thread"
settings.DATABASES["default"] |= json.loads(os.environ["ROLLOUT_DATABASE"])
from rollout.targeting import snapshot
before = snapshot.start()
assert snapshot.current().fresh
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not snapshot.current().fresh)
state = snapshot.current()
os._exit(0 if state.fresh and snapshot.start() is not before and snapshot.start().is_alive() else 3)
"""


@pytest.fixture
def in_thread(settings: Settings) -> Iterator[None]:
    settings.ROLLOUT_SNAPSHOT = "thread"
    snapshot.stop()
    yield
    snapshot.stop()


@pytest.fixture
def database_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new connection finds nobody listening."""
    nowhere = {"host": "127.0.0.1", "port": 1, "dbname": "none"}
    monkeypatch.setattr(snapshot, "connection_parameters", lambda *, application_name: nowhere)


@contextmanager
def moved(connect_as: Connect, stage: str) -> Iterator[Any]:
    """Commit a stage on a connection of its own, and the one before it afterwards."""
    web = connect_as("web", autocommit=True)
    update = "UPDATE rollout_flag SET stage = %s"
    before = web.execute("SELECT stage FROM rollout_flag").fetchone()
    assert before
    web.execute(update, [stage])
    try:
        yield web
    finally:
        web.execute(update, before)


@pytest.mark.django_db
def test_asked_by_query_the_answer_is_the_row_as_it_stands(move: Move, flag: Flag) -> None:
    move("percentage:12.5", v1_writes=False)
    state = snapshot.current()
    assert state == RolloutState(Stage.parse("percentage:12.5"), False, flag.salt, flag.version + 1, True)
    assert snapshot.age_seconds() == 0.0


@pytest.mark.django_db
def test_without_a_row_the_rollout_is_disabled(beyond_policies: Callable[[], Any]) -> None:
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM rollout_flag")
    assert snapshot.current() == MISSING
    assert snapshot.current().stage == DISABLED


@pytest.mark.django_db
def test_without_a_database_a_query_answers_unknown(
    monkeypatch: pytest.MonkeyPatch, make_user: MakeUser, move: Move
) -> None:
    user = make_user(is_staff=True)
    move("enabled")

    def fail(query: str) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(snapshot, "fetch_all", fail)
    assert snapshot.current() == UNKNOWN
    assert snapshot.age_seconds() is None
    decision = decision_for(user)
    assert (decision.version, decision.reason) == (MessagingVersion.V1, Reason.STALE_SNAPSHOT)


def test_a_thread_follows_the_row_within_moments(committed_db: None, in_thread: None, connect_as: Connect) -> None:
    assert snapshot.current().stage == DISABLED
    with moved(connect_as, "enabled"):
        assert wait_for(lambda: snapshot.current().stage == ENABLED, seconds=1) < 1
    wait_for(lambda: snapshot.current().stage == DISABLED, seconds=1)
    age = snapshot.age_seconds()
    assert age is not None
    assert age < 2


def test_a_thread_sees_a_change_by_polling(
    committed_db: None, in_thread: None, connect_as: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "CHANNEL", "a_channel_that_is_silent")
    assert snapshot.current().stage == DISABLED
    with moved(connect_as, "enabled"):
        wait_for(lambda: snapshot.current().stage == ENABLED, seconds=2)


def test_a_thread_sees_a_change_2_s_after_its_connection_was_cut(
    committed_db: None, in_thread: None, connect_as: Connect
) -> None:
    assert snapshot.current().fresh
    web = connect_as("web", autocommit=True)
    killed = connect_as("superuser", autocommit=True).execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'carecollective-rollout' AND datname = current_database()"
    )
    assert killed.fetchone() == (1,)
    with moved(connect_as, "enabled"):
        wait_for(lambda: snapshot.current().stage == ENABLED, seconds=2)
    web.close()


def test_without_a_database_a_thread_answers_unknown_in_a_second(in_thread: None, database_away: None) -> None:
    began = time.monotonic()
    assert snapshot.current() == UNKNOWN
    assert time.monotonic() - began < 2
    assert snapshot.age_seconds() is None
    # Only the first question waits so long.
    began = time.monotonic()
    assert snapshot.current() == UNKNOWN
    assert time.monotonic() - began < 0.5


def test_a_row_read_over_five_seconds_ago_is_no_longer_fresh() -> None:
    follower = snapshot.Follower()
    state = RolloutState(ENABLED, False, "salt", 7, True)
    follower.remember(state, read_at=time.monotonic() - 4.5)
    assert follower.state() == state
    follower.remember(state, read_at=time.monotonic() - 5.5)
    assert follower.state() == RolloutState(ENABLED, False, "salt", 7, False)


def test_a_dead_thread_is_replaced_at_the_next_question(in_thread: None, django_db_setup: None) -> None:
    first = snapshot.start()
    first.stop()
    assert snapshot.current().fresh
    assert snapshot.start() is not first


def test_questions_in_thread_mode_cost_no_query(
    in_thread: None, db: None, django_assert_num_queries: Callable[[int], Any]
) -> None:
    snapshot.current()
    with django_assert_num_queries(0):
        snapshot.current()


def test_a_forked_process_starts_a_thread_of_its_own(db: None) -> None:
    parameters = {
        name: connection.settings_dict[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    }
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", django_settings.SETTINGS_MODULE),
        "ROLLOUT_DATABASE": json.dumps(parameters),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        check=False,
        env=environment,
        timeout=30,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.django_db
def test_the_command_reads_the_row_and_not_a_copy(move: Move) -> None:
    move("enabled")
    call_command("rollout", "status", "--json")
    assert snapshot.current().stage == ENABLED
