"""`make run` as its user sees it: the real command with a DATA_DIR of its own, on a free port."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres import advisory_locks
from carecollective.postgres.dsn import build_url, connection_url, parse_url
from tests.faults.scale import FULL
from tests.postgres.conftest import Use
from tests.postgres.support import MAY_MAKE_ROLES, PROJECT, ask, is_running, kill, recorded_pid, supervisor_pid
from tests.sites import CopyFirstRun, Site, environment_for, nothing_runs, processes_of
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    # They share one first run.
    pytest.mark.xdist_group("serve"),
]

BEATS = "SELECT beat_at > clock_timestamp() - interval '2.5 s' FROM core_workerheartbeat"


Serve = Callable[..., Site]


@pytest.fixture(scope="module")
def prepared(copy_first_run: CopyFirstRun) -> Iterator[Path]:
    """A DATA_DIR after its first run, which the tests of this module start from."""
    with tempfile.TemporaryDirectory(prefix="care-") as folder:
        yield copy_first_run(Path(folder) / "data")


@pytest.fixture
def serve(prepared: Path) -> Iterator[Serve]:
    sites: list[Site] = []

    def start(data_dir: Path = prepared, **options: object) -> Site:
        site = Site(data_dir, **options)  # type: ignore[arg-type]
        sites.append(site)
        return site

    yield start
    for site in sites:
        site.abandon()
    wait_for(lambda: nothing_runs(prepared), seconds=30)


def test_the_second_start_takes_seconds_and_keeps_the_data(prepared: Path, serve: Serve) -> None:
    began = time.monotonic()
    site = serve()
    said = site.wait_until_up()
    assert time.monotonic() - began < 30  # some seconds on a machine that does nothing else
    assert "sample data" not in said
    assert site.health() == 200
    assert ask(prepared, "SELECT count(*) > 0 FROM profiles", role="ops") is True


# The sites of all other tests are stopped by SIGTERM.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP] if FULL else [signal.SIGINT])
def test_asked_to_stop_it_leaves_nothing_running(prepared: Path, serve: Serve, number: signal.Signals) -> None:
    site = serve()
    site.wait_until_up()
    assert site.end(number) == 0
    assert nothing_runs(prepared)
    assert "Traceback" not in site.said


def test_killed_it_leaves_nothing_running(prepared: Path, serve: Serve) -> None:
    site = serve()
    site.wait_until_up()
    site.process.kill()
    wait_for(lambda: nothing_runs(prepared), seconds=20)


def test_a_second_site_of_the_same_data_is_told_where_the_first_is(serve: Serve) -> None:
    first = serve()
    first.wait_until_up()
    second = serve()
    assert second.finish() == 1
    assert second.said.count("\n") == 1
    assert f"already running at http://127.0.0.1:{first.port}" in second.said
    assert first.health() == 200, first.said


def test_a_port_in_use_is_named_in_one_sentence(home: Path, serve: Serve) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        site = serve(home / "data", port=other.getsockname()[1])
        assert site.finish() == 1
    assert site.said.startswith(f"PORT {site.port} is already in use")
    assert site.said.count("\n") == 1


def test_an_address_of_another_machine_is_named_in_one_sentence(home: Path, serve: Serve) -> None:
    site = serve(home / "data", BIND="192.0.2.1")
    assert site.finish() == 1
    assert site.said == "BIND 192.0.2.1 is no address of this machine.\n"


def test_a_bad_setting_is_named_in_one_sentence(home: Path, serve: Serve) -> None:
    site = serve(home / "data", WEB_CONCURRENCY="many")
    assert site.finish() == 1
    assert "WEB_CONCURRENCY" in site.said
    assert site.said.count("\n") == 1


def test_it_survives_killed_worker_database_and_supervisor(prepared: Path, serve: Serve) -> None:
    site = serve()
    site.wait_until_up()

    worker = worker_of(prepared)
    kill(worker)
    wait_for(lambda: worker_of(prepared) not in (None, worker), seconds=15)
    wait_for(lambda: ask(prepared, BEATS, role="superuser") is True, seconds=15)

    postmaster = recorded_pid(prepared)
    kill(postmaster)
    wait_for(lambda: recorded_pid(prepared) not in (None, postmaster) and site.health() == 200, seconds=15)

    before = supervisor_pid(prepared)
    kill(before)
    wait_for(lambda: supervisor_pid(prepared) not in (None, before), seconds=15)
    assert site.health() == 200
    assert site.end() == 0
    assert not is_running(prepared)


def test_a_standby_worker_takes_over_within_two_seconds(prepared: Path, serve: Serve) -> None:
    serve().wait_until_up()
    wait_for(lambda: holder_of_the_lock(prepared) is not None, seconds=15)
    first, worker = holder_of_the_lock(prepared), worker_of(prepared)
    assert first is not None
    assert worker is not None
    environment = environment_for(prepared, PGAPPNAME="standby")
    standby = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=PROJECT, env=environment)
    try:
        wait_for(lambda: was_seen_trying(prepared, "standby"), seconds=20)
        assert holder_of_the_lock(prepared) == first
        # The first worker would come back, and may well be the quicker one: it is kept from it.
        os.kill(worker, signal.SIGSTOP)
        ask(prepared, f"SELECT pg_terminate_backend({first[0]})", role="superuser")
        wait_for(lambda: (holder_of_the_lock(prepared) or first)[1] == "standby", seconds=2)
    finally:
        os.kill(worker, signal.SIGCONT)
        standby.terminate()
        assert standby.wait(10) == 0


def test_an_operators_database_is_prepared_and_given_no_sample_data(
    home: Path, data_dir: Path, use: Use, serve: Serve
) -> None:
    use()
    with psycopg.connect(connection_url(data_dir, "superuser", "postgres"), autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE operator LOGIN PASSWORD 'theirs' {MAY_MAKE_ROLES}".encode())
        superuser.execute("CREATE DATABASE care OWNER operator")
        for role in ("web", "ops", "guard"):
            superuser.execute(f"ALTER ROLE carecollective_{role} RENAME TO the_embedded_servers_{role}".encode())
    parameters = parse_url(connection_url(data_dir, "owner", "care"))
    url = build_url({**parameters, "user": "operator", "password": "theirs"})

    site = serve(home / "site", DATABASE_URL=url, DJANGO_SECRET_KEY="long enough and random enough for a test " * 2)
    site.wait_until_up()
    with pytest.raises(ConnectionRefusedError):
        # Another address of this machine, where only who listens everywhere is found.
        socket.create_connection(("127.0.0.2", site.port), timeout=5)
    assert ask(data_dir, "SELECT count(*) FROM profiles", role="superuser", database="care") == 0
    assert not (home / "site" / "postgres").exists()
    assert site.end() == 0
    assert "Sign in with" not in site.said


def worker_of(data_dir: Path) -> int | None:
    return next((pid for pid, arguments in processes_of(data_dir) if arguments[-1:] == ["worker"]), None)


def holder_of_the_lock(data_dir: Path) -> tuple[int, str] | None:
    """Return the session that holds the workers' lock, and the name that its program goes by."""
    with psycopg.connect(connection_url(data_dir, "superuser")) as connection:
        return connection.execute(
            "SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
            f" WHERE locktype = 'advisory' AND objid = {advisory_locks.WORKER} AND granted"
        ).fetchone()


def was_seen_trying(data_dir: Path, program: str) -> bool:
    """Wait for a standby's try at the lock: a short session with one query, each second."""
    looking = "SELECT FROM pg_stat_activity WHERE application_name = %s AND query LIKE 'SELECT pg_try_advisory_lock%%'"
    with psycopg.connect(connection_url(data_dir, "superuser"), autocommit=True) as connection:
        return any(connection.execute(looking, [program]).fetchone() is not None for _look in range(1000))
