"""Events reach the table behind the request's back, whatever befalls the table or the server."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from rollout.models.event_log import EventLog
from rollout.targeting.connections import connection_parameters
from rollout.telemetry import events
from rollout.telemetry import writer as telemetry_writer
from rollout.telemetry.writer import MOST_WAITING, EventWriter

HOW_MANY = "SELECT count(*) FROM application_logs"


@pytest.fixture
def threaded(committed_db: None, settings: Any) -> Iterator[None]:
    """A writer of the test's own, gone with it."""
    settings.ROLLOUT_EVENTS = "thread"
    yield
    writer, events._writer.thread = events._writer.thread, None
    if writer is not None:
        writer.stop()


@pytest.fixture
def rows(connect_as: Callable[..., "psycopg.Connection[Any]"]) -> Callable[[], int]:
    def count() -> int:
        row = connect_as("superuser", autocommit=True).execute(HOW_MANY).fetchone()
        assert row
        return int(row[0])

    return count


def test_events_are_written_soon_after(threaded, offer, stage, rows):
    stage("enabled")
    started = offer()
    assert events.flush(5)
    assert rows() == 1
    row = EventLog.objects.get()
    assert (row.conversation_id, row.stage, row.event) == (started.conversation_id, "enabled", "success")


def test_a_locked_table_delays_the_writer_and_nobody_else(
    threaded, offer, stage, member, help_request, connect_as, rows
):
    stage("enabled")
    offer()
    assert events.flush(5)
    pairs = [(member(), help_request().pk) for _ in range(12)]

    def take(some: list[Any]) -> float:
        began = time.monotonic()
        for actor, request_id in some:
            offer(actor=actor, help_request_id=request_id)
        return (time.monotonic() - began) / len(some)

    unlocked = take(pairs[:6])
    assert events.flush(5)
    locker = connect_as("superuser")
    locker.execute("LOCK TABLE application_logs IN ACCESS EXCLUSIVE MODE")
    locked = take(pairs[6:])
    assert not events.flush(1.2)
    assert events.waiting() == 6
    locker.rollback()
    assert events.flush(5)
    assert rows() == 13
    assert locked - unlocked < 0.15


def test_an_outage_is_waited_out_and_every_event_kept_once(threaded, event, monkeypatch, connect_as, rows):
    events.record(event())
    assert events.flush(5)

    reachable = connection_parameters
    monkeypatch.setattr(
        telemetry_writer,
        "connection_parameters",
        lambda **given: {**reachable(**given), "host": "/nowhere", "port": "1"},
    )
    superuser = connect_as("superuser", autocommit=True)
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'carecollective-events' AND datname = current_database()"
    )
    began = time.monotonic()
    for _ in range(700):
        events.record(event())
    assert time.monotonic() - began < 2
    assert not events.flush(0.5)
    assert events.waiting() == 700

    monkeypatch.setattr(telemetry_writer, "connection_parameters", reachable)
    assert events.flush(10)
    assert rows() == 701
    assert superuser.execute(
        "SELECT count(*) FROM application_logs WHERE timestamp > clock_timestamp()"
    ).fetchone() == (0,)


def test_beyond_ten_thousand_the_oldest_are_given_up_and_counted(event):
    writer = EventWriter()
    first, second = event(), event()
    writer.add(first)
    writer.add(second)
    for _ in range(MOST_WAITING - 1):
        writer.add(event())
    assert (writer.waiting, writer.dropped) == (MOST_WAITING, 1)
    assert writer._waiting[0] is second


def test_an_event_that_the_table_refuses_does_not_delay_others(threaded, event, rows):
    events.record(event(request_id="no\0text"))
    events.record(event())
    assert events.flush(10)
    assert rows() == 1


def test_flush_gives_up_in_time(event):
    writer = EventWriter()
    writer.add(event())
    began = time.monotonic()
    assert not writer.flush(0.2)
    assert time.monotonic() - began < 0.5


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_starts_a_writer_of_its_own(threaded, event, rows):
    import os

    events.record(event())
    assert events.flush(5)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            assert events._writer.thread is None
            events.record(event())
            os.write(writer, b"y" if events.flush(5) else b"n")
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"y"
    os.close(reader)
    os.waitpid(child, 0)
    assert rows() == 2
