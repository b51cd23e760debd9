"""Any number of guards may run: one works, and another takes over when it is gone."""

import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from carecollective.postgres import advisory_locks
from rollout.guard import runner
from tests.faults import scale
from tests.rollout.alerts.webhook_server import webhook_server
from tests.rollout.guard.processes import running, running_impatient_guard
from tests.waiting import wait_for

# `make faults` waits as long as a real standby does.
STALLED_SECONDS = runner.STALLED_SECONDS if scale.FULL else 10

Connect = Callable[..., "psycopg.Connection[Any]"]


@pytest.fixture
def holder(committed_db: None, connect_as: Connect) -> Callable[[], str]:
    """Tell which process last renewed the lease."""
    connection = connect_as("superuser", autocommit=True)
    connection.execute("DELETE FROM rollout_guard_lease")

    def ask() -> str:
        row = connection.execute("SELECT holder FROM rollout_guard_lease").fetchone()
        return str(row[0]).partition(":")[2] if row else ""

    return ask


@pytest.mark.slow
def test_a_standby_takes_over_within_ten_seconds(holder: Callable[[], str], connect_as: Connect) -> None:
    superuser = connect_as("superuser", autocommit=True)
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'carecollective_guard' AND datname = current_database()"
    )
    lease = "SELECT renewed_at FROM rollout_guard_lease"

    def ask(query: str) -> Any:
        return superuser.execute(query.encode()).fetchone()

    with running("guard", role="guard") as first:
        wait_for(lambda: holder() == str(first.pid), seconds=20)
        before = ask(sessions)
        with running("guard", role="guard") as second:
            # The second has asked for the lock, and the first has looked again since.
            wait_for(lambda: ask(sessions) > before, seconds=20)
            renewed = ask(lease)
            wait_for(lambda: ask(lease) > renewed, seconds=20)
            assert second.poll() is None
            assert holder() == str(first.pid)
            first.send_signal(signal.SIGKILL)
            first.wait(5)
            assert wait_for(lambda: holder() == str(second.pid), seconds=15) < 10


@pytest.mark.slow
def test_a_guard_that_stands_still_is_cut_off_by_its_standby(holder: Callable[[], str], connect_as: Connect) -> None:
    superuser = connect_as("superuser", autocommit=True)
    with running("guard", role="guard") as first:
        wait_for(lambda: holder() == str(first.pid), seconds=20)
        first.send_signal(signal.SIGSTOP)
        try:
            with running_impatient_guard(STALLED_SECONDS) as second:
                took = wait_for(lambda: holder() == str(second.pid), seconds=40)
                # The first may have looked last up to EVERY_SECONDS before it was stopped.
                assert took > STALLED_SECONDS - runner.EVERY_SECONDS
                watching = "SELECT renewed_at > clock_timestamp() - interval '60 s' FROM rollout_guard_lease"
                assert superuser.execute(watching).fetchone() == (True,)
        finally:
            first.send_signal(signal.SIGCONT)


@pytest.mark.slow
def test_a_guard_whose_connections_are_cut_goes_on_with_new_ones(
    holder: Callable[[], str], connect_as: Connect
) -> None:
    superuser = connect_as("superuser", autocommit=True)
    with running("guard", role="guard") as guard:
        wait_for(lambda: holder() == str(guard.pid), seconds=20)
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'carecollective_guard' AND datname = current_database()"
        )
        superuser.execute("DELETE FROM rollout_guard_lease")
        assert wait_for(lambda: holder() == str(guard.pid), seconds=15) < 12
        assert guard.poll() is None


@pytest.mark.slow
def test_asked_to_end_it_ends_at_once_and_frees_the_lock(holder: Callable[[], str], connect_as: Connect) -> None:
    superuser = connect_as("superuser", autocommit=True)
    with running("guard", role="guard") as guard:
        wait_for(lambda: holder() == str(guard.pid), seconds=20)
        guard.send_signal(signal.SIGTERM)
        assert guard.wait(5) == 0
    held = superuser.execute(
        f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {advisory_locks.GUARD}"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert held.fetchone() == (0,)


# `make faults` waits for the half minute after which a silent worker is taken for gone.
@pytest.mark.slow
@pytest.mark.parametrize("worker", ["hangs", "gone"] if scale.FULL else ["hangs"])
def test_without_a_worker_the_guard_tells_people_itself(
    holder: Callable[[], str], connect_as: Connect, worker: str
) -> None:
    superuser = connect_as("superuser", autocommit=True)
    if worker == "hangs":
        superuser.execute(
            "INSERT INTO core_workerheartbeat (name, beat_at, stuck_tasks) VALUES ('worker', clock_timestamp(), 'a.task')"
        )
    with webhook_server() as slack, running("guard", role="guard", TEST_SLACK_WEBHOOK_URL=slack.address) as guard:
        wait_for(lambda: holder() == str(guard.pid), seconds=20)
        superuser.execute("UPDATE rollout_flag SET v1_writes = false WHERE name = 'messaging_v2'")
        expected = {"V1 writes were turned off", "No member can start a conversation"}
        expected |= (
            {"The worker hangs in a.task."} if worker == "hangs" else {"The worker has never given a sign of life."}
        )
        wait_for(lambda: len(slack.received) >= len(expected), seconds=90)
        assert {
            text.split("\n")[0].split(",")[0].split(":")[1].strip() for text in slack.texts[: len(expected)]
        } == expected
        assert guard.poll() is None
    assert len(slack.texts) == len(set(slack.texts))
