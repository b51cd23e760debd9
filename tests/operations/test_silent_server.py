"""A server that accepts connections and never answers: everything gives up soon, with a sentence."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from carecollective.operations.backups.manifest import Manifest
from carecollective.operations.backups.restores import restore_into
from carecollective.operations.connections import connected
from carecollective.operations.errors import OperationError
from carecollective.operations.pg_tools import find_client, run_client
from carecollective.postgres.dsn import CONNECT_SECONDS
from carecollective.postgres.external_server import prepare_server
from tests.postgres.conftest import home
from tests.postgres.support import PROJECT
from tests.sites import environment_for

__all__ = ["home"]

COMMANDS = (
    "create_roles",
    "migrate",
    "serve",
    "verify_messaging",
    "drop_v2 --confirm care",
    "adopt_legacy",
    "rollout status",
    "rollout rollback --reason test",
)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """The URL of a port where the kernel accepts connections, and no program answers them."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"postgresql://operator:theirs@127.0.0.1:{server.getsockname()[1]}/care"


@pytest.mark.slow
def test_nothing_of_ours_waits_long(silent_url: str, backed_up: tuple[Path, Manifest]) -> None:
    def hold(url: str) -> None:
        with connected(url):
            pass

    def seconds(call: Callable[[], object]) -> float:
        began = time.monotonic()
        with pytest.raises((OperationError, psycopg.OperationalError), match="timeout expired"):
            call()
        return time.monotonic() - began

    calls = (
        lambda: hold(silent_url),
        lambda: prepare_server(silent_url, secret_key="key"),
        lambda: run_client(find_client("pg_dump", server_version=1), [], url=silent_url, on_line=lambda line: None),
        lambda: restore_into(backed_up[0], silent_url, say=lambda line: None),
        # What the operator says is obeyed.
        lambda: hold(f"{silent_url}?connect_timeout={CONNECT_SECONDS + 2}"),
    )
    with ThreadPoolExecutor(len(calls)) as pool:
        waited = list(pool.map(seconds, calls))
    assert max(waited[:-1]) < CONNECT_SECONDS + 2 <= waited[-1] + 0.2


@pytest.mark.slow
def test_every_command_ends_with_a_sentence(silent_url: str, home: Path) -> None:
    environment = environment_for(
        home / "site", DATABASE_URL=silent_url, DJANGO_SECRET_KEY="long enough and random enough for a test " * 2
    )

    def run(command: str) -> str:
        """Return what is wrong with how a command ends."""
        try:
            done = subprocess.run(
                [sys.executable, "manage.py", *command.split()], cwd=PROJECT, env=environment,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"{command}: hangs"
        said = [line for line in done.stderr.strip().splitlines() if not line.startswith("{")]  # the log's
        is_sentence = done.returncode == 1 and len(said) == 1 and re.search("cannot be|timeout", said[0])
        return "" if is_sentence else f"{command}: {done.returncode}, {said[-3:]}"

    with ThreadPoolExecutor(3) as pool:
        assert [fault for fault in pool.map(run, COMMANDS) if fault] == []
