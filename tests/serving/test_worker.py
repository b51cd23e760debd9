"""The worker's tasks do not wait for each other, and a task that hangs is reported."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from carecollective.serving import worker
from carecollective.serving.worker import Worker
from carecollective.web import health
from tests.waiting import wait_for

HERE = __name__
released = threading.Event()
runs: list[str] = []
times: list[float] = []


def hang() -> int:
    released.wait(60)
    return 0


def tick() -> int:
    runs.append(threading.current_thread().name)
    return 0


def fail() -> int:
    runs.append("failed")
    raise ValueError("the words of a bug")


def ask_database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        runs.append(str(cursor.fetchone()[0]))
    return 0


def look_how_long() -> int:
    times.append(worker.seconds_at_work())
    return 0


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    released.clear()
    runs.clear()
    times.clear()
    yield
    released.set()


@pytest.fixture
def working(committed_db: None) -> Iterator[Callable[..., Worker]]:
    """Run a worker with these tasks in its own thread: `working("tick", "hang")`."""
    started: list[tuple[Worker, threading.Thread]] = []

    def start(*names: str) -> Worker:
        one = Worker([(f"{HERE}.{name}", 0.05) for name in names])
        thread = threading.Thread(target=one.run)
        thread.start()
        started.append((one, thread))
        return one

    yield start
    released.set()
    for one, thread in started:
        one.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_a_task_that_hangs_holds_up_no_other(working):
    working("hang", "tick")
    wait_for(lambda: len(runs) >= 5, seconds=10)


def test_a_task_knows_how_long_its_worker_has_been_at_work(working):
    assert worker.seconds_at_work() == float("inf")
    working("look_how_long")
    wait_for(lambda: len(times) >= 3, seconds=10)
    assert 0 <= times[0] < times[1] < times[2] < 60


def test_a_task_that_fails_is_tried_again_and_fails_alone(working, caplog):
    working("fail", "tick")
    wait_for(lambda: runs.count("failed") >= 2 and len(runs) - runs.count("failed") >= 2, seconds=10)
    assert f"worker task {HERE}.fail failed" in caplog.text


@pytest.mark.slow
def test_a_stuck_task_is_in_the_heartbeat_and_once_in_the_log(working, monkeypatch, caplog):
    monkeypatch.setattr(worker, "STUCK_SECONDS", 1)
    working("hang", "tick")
    wait_for(lambda: health.read().checks["worker"]["ok"], seconds=10)
    wait_for(lambda: not health.read().checks["worker"]["ok"], seconds=10)
    found = health.read().checks["worker"]
    assert found["stuck_tasks"] == [f"{HERE}.hang"]
    assert found["seconds_since_beat"] < 5
    wait_for(lambda: len(runs) > 80, seconds=20)
    errors = [line for line in caplog.records if line.levelno == logging.ERROR]
    assert [line.getMessage() for line in errors] == [
        f"worker task {HERE}.hang hangs or has ended (over 1 s); the other tasks go on"
    ]
    released.set()
    wait_for(lambda: health.read().checks["worker"]["ok"], seconds=10)


def test_a_task_whose_thread_has_ended_is_stuck(working):
    one = working("tick")
    wait_for(lambda: runs, seconds=10)
    assert one.stuck_tasks() == []
    one.threads[0].stopping = threading.Event()
    one.threads[0].stopping.set()
    wait_for(lambda: one.stuck_tasks() == [f"{HERE}.tick"], seconds=10)


def test_the_task_in_hand_is_finished_before_the_worker_ends(working):
    one = working("hang", "tick")
    wait_for(lambda: runs, seconds=10)
    one.stop()
    assert one.threads[0].is_alive()
    released.set()
    one.threads[0].join(10)
    assert not one.threads[0].is_alive()


def test_a_task_that_hangs_does_not_keep_the_worker_from_ending(committed_db, monkeypatch, caplog):
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.5)
    one = Worker([(f"{HERE}.hang", 1)])
    thread = threading.Thread(target=one.run)
    thread.start()
    wait_for(lambda: one.threads[0].started_at, seconds=10)
    one.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert f"worker task {HERE}.hang did not end" in caplog.text


def test_tasks_go_on_after_their_connections_are_cut(working, connect_as):
    working("ask_database")
    wait_for(lambda: runs, seconds=10)
    first = runs[-1]
    superuser = connect_as("superuser", autocommit=True)
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    wait_for(lambda: runs[-1] != first, seconds=10)


@pytest.mark.slow
def test_a_standby_does_nothing_until_the_first_has_ended(working):
    first = working("tick")
    wait_for(lambda: runs, seconds=10)
    second = Worker([(f"{HERE}.hang", 1)])
    thread = threading.Thread(target=second.run)
    thread.start()
    try:
        wait_for(lambda: len(runs) > 30, seconds=10)
        assert second.threads[0].started_at is None
        first.stop()
        wait_for(lambda: second.threads[0].started_at, seconds=10)
    finally:
        released.set()
        second.stop()
        thread.join(10)
