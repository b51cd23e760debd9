"""Anybody who may connect may notify: a flood neither makes a process forget the state nor loads the database."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pytest_django import Settings

from rollout.stages import DISABLED, ENABLED, Stage
from rollout.targeting import propagation, snapshot
from tests.waiting import wait_for

Connect = Callable[..., "psycopg.Connection[Any]"]

NOTIFY = "SELECT pg_notify('rollout_changed', %s || n) FROM generate_series(1, 500) AS n"
READS = 20  # at most so many in any one second


@pytest.fixture
def following(committed_db: None, settings: Settings) -> Iterator[None]:
    settings.ROLLOUT_SNAPSHOT = "thread"
    snapshot.stop()
    yield
    snapshot.stop()


@pytest.fixture
def flood(connect_as: Connect) -> Iterator[Callable[..., None]]:
    """Notify as fast as the database takes it, thousands a second, until the test ends."""
    stopping = threading.Event()
    threads: list[threading.Thread] = []
    sent = [0]

    def pour(role: str, payload: str) -> None:
        with connect_as(role, autocommit=True) as connection:
            while not stopping.is_set():
                connection.execute(NOTIFY, [payload])
                sent[0] += 500

    def begin(role: str, payload: str) -> None:
        threads.append(threading.Thread(target=pour, args=(role, payload)))
        threads[-1].start()
        wait_for(lambda: sent[0] > 5000, seconds=20)

    yield begin
    stopping.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Keep the moment of each time that the follower read the row."""
    asked: list[float] = []
    remember = snapshot.Follower.remember

    def note(self: snapshot.Follower, state: Any, *, read_at: float) -> None:
        asked.append(read_at)
        remember(self, state, read_at=read_at)

    monkeypatch.setattr(snapshot.Follower, "remember", note)
    return asked


def densest(reads: list[float]) -> int:
    """Count the reads of the second that has most of them."""
    return max(sum(at <= other < at + 1 for other in reads) for at in reads)


def wait_until_known(stage: Stage, *, version: int) -> None:
    wait_for(lambda: snapshot.current().stage == stage, seconds=3)
    wait_for(lambda: propagation.read_switch(version=version).switched == 1, seconds=3)


@pytest.mark.parametrize("role", ["web", "guard", "ops"])
def test_a_flood_hides_no_change_and_causes_few_reads(
    following: None,
    flood: Callable[..., None],
    reads: list[float],
    connect_as: Connect,
    role: str,
) -> None:
    assert snapshot.current().stage == DISABLED
    web = connect_as("web", autocommit=True)
    flood(role, "not a version, and an ’ at that: ")
    for stage in (ENABLED, DISABLED, ENABLED):
        row = web.execute("UPDATE rollout_flag SET stage = %s RETURNING version", [str(stage)]).fetchone()
        assert row
        wait_until_known(stage, version=row[0])
        assert snapshot.current().fresh
    assert densest(reads) <= READS


def test_below_a_flood_too_twenty_reads_a_second_are_enough(
    following: None, reads: list[float], connect_as: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "FLOOD", 1_000_000)
    assert snapshot.current().fresh
    web = connect_as("web", autocommit=True)
    began = time.monotonic()
    while time.monotonic() < began + 4:
        web.execute("SELECT pg_notify('rollout_changed', '')")
    assert 2 <= densest(reads) <= READS


def test_after_a_flood_the_thread_listens_again(
    following: None, connect_as: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "DEAF_FOR", 0.5)
    assert snapshot.current().fresh
    web = connect_as("web", autocommit=True)
    web.execute(NOTIFY, [""])
    wait_for(lambda: snapshot.start()._deaf_until, seconds=3)
    wait_for(lambda: not snapshot.start()._deaf_until, seconds=5)
    monkeypatch.setattr(snapshot, "POLL_EVERY", 6.0)
    wait_for(lambda: (snapshot.age_seconds() or 0) > 1.2, seconds=5)  # it no longer polls: only hearing tells it
    web.execute("UPDATE rollout_flag SET stage = 'enabled'")
    wait_for(lambda: snapshot.current().stage == ENABLED, seconds=3)
