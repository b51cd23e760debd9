"""When had the last process switched? Each tells, on the connection on which it follows the flag."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django import Settings

from rollout.dashboard.schema import Health
from rollout.dashboard.status import read_status
from rollout.models import Flag, Process, Rollback, Source
from rollout.promotion.services import roll_back
from rollout.stages import DISABLED
from rollout.targeting import propagation, snapshot
from rollout.targeting.propagation import acknowledge, process_key, read_switch, wait_for_switch

Connect = Callable[..., "psycopg.Connection[Any]"]


@pytest.fixture(autouse=True)
def nothing_told() -> Iterator[None]:
    propagation._told.clear()
    yield
    propagation._told.clear()


@pytest.fixture
def follower(connect_as: Connect) -> "psycopg.Connection[Any]":
    return connect_as("web", autocommit=True)


@pytest.fixture
def following(settings: Settings, committed_db: None) -> Iterator[None]:
    """This process follows the flag as a serving one does, and no other: a test before this may have left one on record."""
    settings.ROLLOUT_SNAPSHOT = "thread"
    snapshot.stop()
    Process.objects.all().delete()
    snapshot.current()
    yield
    snapshot.stop()


@pytest.fixture
def nobody(db: None) -> None:
    """Other tests' followers have told of themselves in this database."""
    Process.objects.all().delete()


def put(key: str, version: int, seconds_ago: float = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rollout_process VALUES (%s, %s, clock_timestamp(), clock_timestamp() - make_interval(secs => %s))",
            [key, version, seconds_ago],
        )


def test_a_serving_process_tells_of_a_rollback_within_two_seconds(following: None, stage: Any) -> None:
    stage("enabled")
    change = roll_back(actor=None, reason="Errors", source=Source.COMMAND)
    began = time.monotonic()
    switch = wait_for_switch(version=change.flag_version)
    assert time.monotonic() - began < 2
    assert (switch.switched, switch.waiting, switch.silent) == (1, (), ())
    assert switch.last_at is not None
    # From the insert on; the record and the flag follow it.
    assert switch.last_at > Rollback.objects.get(change_id=change.pk).at
    assert "All servers have switched (1 process), the last at" in switch.words


def test_versions_are_acknowledged_at_once_and_every_ten_seconds(
    committed_db: None, follower: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledge(follower, version=7)
    first = Process.objects.get(key=process_key())
    acknowledge(follower, version=7)
    assert Process.objects.get(key=process_key()).seen_at == first.seen_at
    acknowledge(follower, version=8)
    second = Process.objects.get(key=process_key())
    assert (second.key, second.flag_version) == (process_key(), 8)
    assert second.switched_at > first.switched_at
    monkeypatch.setattr(propagation, "HEARTBEAT_SECONDS", 0.0)
    acknowledge(follower, version=8)
    third = Process.objects.get(key=process_key())
    assert third.switched_at == second.switched_at
    assert third.seen_at > second.seen_at


def test_a_locked_table_holds_a_follower_up_for_a_moment_only(
    committed_db: None, follower: "psycopg.Connection[Any]", connect_as: Connect
) -> None:
    with connect_as("superuser") as locker:
        locker.execute("LOCK TABLE rollout_process IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        acknowledge(follower, version=7)
        # A fifth of a second, and no more than a busy machine takes besides.
        assert time.monotonic() - began < 2
    acknowledge(follower, version=7)
    assert Process.objects.get(key=process_key()).flag_version == 7


def test_a_follower_survives_missing_tables_and_lost_connections(connect_as: Connect, django_db_setup: None) -> None:
    lost = connect_as("web", autocommit=True)
    lost.close()
    acknowledge(lost, version=7)
    elsewhere = connect_as("superuser", autocommit=True)
    elsewhere.execute("SET search_path = ''")
    with elsewhere.transaction(force_rollback=True):
        elsewhere.execute("DROP TABLE public.rollout_process")
        acknowledge(elsewhere, version=7)


def test_only_live_processes_that_are_behind_are_waited_for(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    put("a", 5)
    put("b", 4)
    put("c", 4, seconds_ago=20)
    put("d", 4, seconds_ago=61)
    switch = read_switch(version=5)
    assert (switch.switched, switch.waiting, switch.silent) == (1, ("b",), ("c",))
    assert switch.words == (
        "1 of 3 server processes has switched. 1 has not said so yet."
        " 1 has not been heard from for over 15 seconds and starts nothing in V2."
    )
    slept: list[float] = []
    monkeypatch.setattr(propagation, "time", SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append))
    for given, lasts in (({"seconds": 0.3}, 0.3), ({}, 2)):
        slept.clear()
        assert wait_for_switch(version=5, **given).waiting == ("b",)
        assert lasts <= sum(slept) <= lasts + 2 * propagation.POLL_SECONDS
    slept.clear()
    assert wait_for_switch(version=4).waiting == ()
    assert slept == []


def test_a_later_version_counts_as_switched_and_nobody_is_nobody(nobody: None) -> None:
    assert "No serving process" in read_switch(version=5).words
    put("a", 6)
    assert read_switch(version=5).switched == 1


def test_processes_that_are_gone_are_forgotten(committed_db: None, follower: "psycopg.Connection[Any]") -> None:
    put("gone", 4, seconds_ago=61)
    acknowledge(follower, version=5)
    assert list(Process.objects.values_list("key", flat=True)) == [process_key()]


def test_a_forked_process_has_a_name_of_its_own() -> None:
    mine = process_key()
    assert process_key() == mine
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, process_key().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1000).decode() not in ("", mine)


def test_an_ended_process_leaves_the_count_at_once(
    committed_db: None, follower: "psycopg.Connection[Any]", connect_as: Connect
) -> None:
    acknowledge(follower, version=5)
    put_following("elsewhere:17:aa", 5, connect_as("web", autocommit=True))
    ended = connect_as("web", autocommit=True)
    put_following("elsewhere:18:bb", 5, ended)
    assert read_switch(version=5).switched == 3
    ended.close()
    wait_until(lambda: read_switch(version=5).switched == 2)
    assert "All servers have switched (2 processes)" in read_switch(version=5).words


def test_an_ended_process_of_this_machine_is_not_waited_for(committed_db: None, connect_as: Connect) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    session = connect_as("web", autocommit=True)
    put_following(f"{socket.gethostname()}:{child.pid}:cc", 4, session)
    put_following(f"{socket.gethostname()}:{os.getpid()}:dd", 4, session)
    session.close()
    # The one that runs on may only be cut off: it starts things in V2 for some seconds more.
    wait_until(lambda: read_switch(version=5).waiting == (f"{socket.gethostname()}:{os.getpid()}:dd",))


def test_a_process_that_lost_its_session_tells_again_on_the_next(
    committed_db: None, follower: "psycopg.Connection[Any]", connect_as: Connect
) -> None:
    acknowledge(follower, version=5)
    follower.close()
    acknowledge(connect_as("web", autocommit=True), version=5)
    assert read_switch(version=5).switched == 1


def test_a_process_that_ends_takes_itself_out(
    committed_db: None, follower: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagation, "_left", set())
    acknowledge(follower, version=5)
    propagation.leave()
    acknowledge(follower, version=6)
    assert not Process.objects.exists()


def test_each_process_tells_of_its_environments_brake(
    committed_db: None, follower: "psycopg.Connection[Any]", settings: Settings, stage: Any
) -> None:
    stage("enabled")
    version = Flag.objects.get().version
    put("another", version)
    settings.MESSAGING_V2_ROLLOUT = DISABLED
    acknowledge(follower, version=version)
    settings.MESSAGING_V2_ROLLOUT = None
    switch = read_switch(version=version)
    assert switch.held_off == (process_key(),)
    assert "1 of 2 holds V2 off" in switch.words
    status = read_status()
    assert status.switch.held_off == (process_key(),)
    assert status.overridden_by_environment is False
    Process.objects.filter(key="another").delete()
    status = read_status()
    assert (status.health, status.overridden_by_environment) == (Health.OVERRIDDEN, True)
    assert "All of them hold V2 off" in status.switch.words


def put_following(key: str, version: int, session: "psycopg.Connection[Any]") -> None:
    put(key, version)
    Process.objects.filter(key=key).update(backend_pid=session.info.backend_pid)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_threads_of_one_process_are_one_process(committed_db: None, connect_as: Connect) -> None:
    connections = [connect_as("web", autocommit=True) for _ in range(4)]
    threads = [threading.Thread(target=acknowledge, args=[one], kwargs={"version": 3}) for one in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Process.objects.count() == 1
    assert Flag.objects.exists()
