"""How fast a change of the stage reaches every worker: two gunicorn masters, four workers each, as in production."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection

from carecollective.postgres.dsn import connection_url, database_settings

MASTERS, WORKERS = 2, 4
FLIPS = 20
KILL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = 'carecollective-rollout' AND datname = current_database()
"""


@dataclass
class Site:
    log: Path
    masters: "list[subprocess.Popen[bytes]]"

    def sightings(self, version: int) -> dict[int, float]:
        """Return when each worker, by its pid, first saw this version."""
        seen: dict[int, float] = {}
        for line in self.log.read_text().splitlines():
            pid, number, _stage, at = line.split()
            if int(number) == version:
                seen.setdefault(int(pid), float(at))
        return seen

    def wait_until_all_see(self, version: int, seconds: float) -> dict[int, float]:
        deadline = time.monotonic() + seconds
        while len(seen := self.sightings(version)) < MASTERS * WORKERS:
            assert time.monotonic() < deadline, f"{len(seen)} of {MASTERS * WORKERS} workers saw version {version}"
            assert all(master.poll() is None for master in self.masters)
            time.sleep(0.01)
        return seen


@pytest.fixture
def site(committed_db: None, tmp_path: Path) -> Iterator[Site]:
    log = tmp_path / "sightings"
    log.touch()
    # As the role that serves: the site refuses to start as the tests' superuser.
    url = connection_url(django_settings.DATA_DIR, "web", connection.settings_dict["NAME"])
    parameters = database_settings(url)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", django_settings.SETTINGS_MODULE),
        "WATCHED_DATABASE": json.dumps(parameters),
        "WATCHED_LOG": str(log),
    }
    masters = [start_gunicorn(environment) for _ in range(MASTERS)]
    try:
        yield Site(log, masters)
    finally:
        for master in masters:
            master.send_signal(signal.SIGTERM)
        for master in masters:
            master.wait(30)


def start_gunicorn(environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "tests.rollout.targeting.watched_site:application"]
    options = [f"--workers={WORKERS}", "--worker-class=gthread", f"--bind=127.0.0.1:{port}", "--log-level=error"]
    return subprocess.Popen([*command, *options, "--graceful-timeout=1"], env=environment, cwd=django_settings.BASE_DIR)


def commit(web: "psycopg.Connection[Any]", stage: str) -> tuple[int, float]:
    """Set the stage; return the version that it makes and the moment before the commit."""
    began = time.monotonic()
    row = web.execute("UPDATE rollout_flag SET stage = %s RETURNING version", [stage]).fetchone()
    assert row
    return row[0], began


def test_every_worker_sees_a_change_in_time_even_after_an_outage(
    site: Site, connect_as: Callable[..., "psycopg.Connection[Any]"], capsys: pytest.CaptureFixture[str]
) -> None:
    web = connect_as("web", autocommit=True)
    version = web.execute("SELECT version FROM rollout_flag").fetchone()
    assert version
    # Eight processes import Django here, however long a busy machine takes for that; what is promised begins afterwards.
    site.wait_until_all_see(version[0], 120)

    delays = []
    for number in range(FLIPS):
        seen_version, began = commit(web, "enabled" if number % 2 == 0 else "disabled")
        delays += [at - began for at in site.wait_until_all_see(seen_version, 5).values()]
    assert len(delays) == FLIPS * MASTERS * WORKERS
    assert max(delays) < 1

    superuser = connect_as("superuser", autocommit=True)
    after_kill = []
    for stage in ("enabled", "disabled", "enabled"):
        assert superuser.execute(KILL).fetchone() == (MASTERS * WORKERS,)
        seen_version, began = commit(web, stage)
        after_kill += [at - began for at in site.wait_until_all_see(seen_version, 5).values()]
    assert max(after_kill) < 2
    with capsys.disabled():
        print(f"\npropagation: worst {max(delays) * 1000:.0f} ms, after the kill {max(after_kill) * 1000:.0f} ms")
