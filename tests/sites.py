"""Sites that tests start by the real command, each with a DATA_DIR and a port of its own."""

import fcntl
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres.support import PROJECT, is_running

CopyFirstRun = Callable[[Path], Path]

# What the run of the tests has set for itself is not for the site.
OURS = {
    *("ALLOWED_HOSTS", "DATABASE_DIRECT_URL", "DATABASE_ROLE", "DATABASE_URL", "DATA_DIR", "DEBUG"),
    *("DJANGO_SECRET_KEY", "DJANGO_SETTINGS_MODULE", "MESSAGING_V2_ROLLOUT", "PORT", "WEB_CONCURRENCY"),
}


class Site:
    def __init__(self, data_dir: Path, *, port: int | None = None, **environment: str) -> None:
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=PROJECT,
            env=environment_for(data_dir, PORT=str(self.port), **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.said = ""

    def wait_until_up(self) -> str:
        for line in self.output:
            self.said += line
            if " is at http" in line:
                return self.said
        raise AssertionError(self.said)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> int:
        # The output ends when its last writer does: the site with all of its children.
        with self.output:
            self.said += self.output.read()
        return self.process.wait(60)

    def abandon(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        if not self.output.closed:
            self.finish()

    def health(self) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()


@pytest.fixture(scope="session")
def copy_first_run(tmp_path_factory: pytest.TempPathFactory) -> CopyFirstRun:
    """Put a DATA_DIR at the given place as the first `make run` leaves it.

    That first run is made once in a run of the tests, by the worker that needs it first: it takes three times as long
    as a copy and a second start.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    data_dir, done = shared / "first-run", shared / "first-run-done"

    def copy(to: Path) -> Path:
        with (shared / "first-run-lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(data_dir, ignore_errors=True)
                run_for_the_first_time(data_dir)
                done.touch()
        to.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-Rp", str(data_dir), str(to)], check=True)
        return to

    return copy


def run_for_the_first_time(data_dir: Path) -> None:
    site = Site(data_dir)
    try:
        site.wait_until_up()
        assert site.end() == 0, site.said
        assert "amina@example.org" in site.said
    finally:
        site.abandon()


def environment_for(data_dir: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, "DATA_DIR": str(data_dir), "WEB_CONCURRENCY": "1", **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nothing_runs(data_dir: Path) -> bool:
    # Both are asked: a dying process gives back its environment, by which we find it, before its files and their locks.
    return not processes_of(data_dir) and not is_running(data_dir)


def processes_of(data_dir: Path) -> list[tuple[int, list[str]]]:
    """Find every living process with this DATA_DIR in its environment or its arguments."""
    found = []
    wanted = os.fsencode(data_dir)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and (b"DATA_DIR=" + wanted in environment or wanted in arguments):
            found.append((int(folder.name), [part for part in os.fsdecode(arguments).split("\0") if part]))
    return found
