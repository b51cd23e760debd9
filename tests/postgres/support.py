"""Programs that use the embedded server, each in a process of its own that a test may kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import psycopg

from carecollective.postgres.dsn import connection_url
from carecollective.postgres.embedded.binaries import server_version
from carecollective.postgres.embedded.cluster import find_postmaster
from carecollective.postgres.embedded.layout import DataDirectory
from carecollective.postgres.locks import is_locked

PROJECT = Path(__file__).resolve().parents[2]
USE = """
import sys
from pathlib import Path
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.embedded.server import ensure_running
try:
    ensure_running(Path(sys.argv[1]))
except PostgresError as problem:
    sys.exit(str(problem))
print("up", flush=True)
sys.stdin.read()
"""
# Before PostgreSQL 16 only a superuser makes a role that bypasses policies.
MAY_MAKE_ROLES = "CREATEROLE BYPASSRLS" if server_version() >= 16 else "SUPERUSER"


class User:
    """A process that uses the server until it is ended."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE, str(data_dir)],
            cwd=PROJECT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_up(self) -> None:
        line = self._pipe(self.process.stdout).readline()
        assert line == "up\n", self._pipe(self.process.stderr).read()

    def fail(self) -> str:
        """Return what the process said when it gave up."""
        _, complaint = self.process.communicate(timeout=60)
        assert self.process.returncode == 1
        return complaint.strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        self.process.communicate("")

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def ask(data_dir: Path, query: str, *, role: str = "web", database: str = "carecollective") -> object:
    with psycopg.connect(connection_url(data_dir, role, database), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def recorded_pid(data_dir: Path) -> int | None:
    try:
        return int((DataDirectory(data_dir).cluster / "postmaster.pid").read_text().split()[0])
    except (OSError, IndexError):
        return None


def supervisor_pid(data_dir: Path) -> int | None:
    """Find the supervisor by its arguments; only /proc knows."""
    wanted = ["carecollective.postgres.embedded.supervisor", str(DataDirectory(data_dir).root)]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = os.fsdecode((folder / "cmdline").read_bytes()).split("\0")
        except OSError:
            continue
        if [argument for argument in arguments if argument][-2:] == wanted:
            return int(folder.name)
    return None


def is_running(data_dir: Path) -> bool:
    data = DataDirectory(data_dir)
    if data.root.is_dir() and is_locked(data.supervisor_lock):
        return True
    pid = recorded_pid(data_dir)
    return pid is not None and find_postmaster(pid, data.cluster) is not None


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
