"""The peers as running servers: one worker each, on a port and a database of their own choosing."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.seed import DATA_DIR, PROJECT
from carecollective.postgres.dsn import build_url, connection_url, parse_url

PEERS_PYTHON = PROJECT / "benchmarks/.venv/bin/python"
START_SECONDS = 120
LABEL = "bench-"  # how the application's name begins on the connections of a peer's requests


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to build the operations: its name in the table, its process, and which operations it has."""

    name: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    is_ours: bool = False
    starts_only: bool = False
    people: str = ""  # how the names of those begin who ask it


def _gunicorn(application: str) -> tuple[str, ...]:
    return ("-m", "gunicorn", "--config", "benchmarks/peers/gunicorn_config.py", application)


def _django(urls: str) -> tuple[tuple[str, str], ...]:
    return (("DJANGO_SETTINGS_MODULE", "benchmarks.peers.django_settings"), ("PEER_URLS", f"benchmarks.peers.{urls}"))


_UVICORN = ("-m", "uvicorn", "--log-level", "warning", "--no-access-log")
# A worker is never replaced: its memory and its CPU are read from one process throughout.
_OURS = ("-m", "gunicorn", "--config", "gunicorn.conf.py", "--timeout", "0", "--max-requests", "0")
_DJANGO_APPLICATION = "django.core.wsgi:get_wsgi_application()"

OURS = Peer("this project", _OURS, is_ours=True)
FLOOR = Peer("floor", _gunicorn("benchmarks.peers.floor:application"))
ASYNCPG = Peer("FastAPI + asyncpg", (*_UVICORN, "benchmarks.peers.fastapi_asyncpg:app"))
SQLALCHEMY = Peer("FastAPI + SQLAlchemy", (*_UVICORN, "benchmarks.peers.fastapi_sqlalchemy:app"))
NINJA = Peer("django-ninja", _gunicorn(_DJANGO_APPLICATION), _django("django_ninja"))
DRF = Peer("DRF nested", _gunicorn(_DJANGO_APPLICATION), _django("drf"))
V1 = Peer("V1 flow", _OURS, (("MESSAGING_V2_ROLLOUT", "disabled"),), is_ours=True, starts_only=True, people="legacy-")
PEERS = (OURS, FLOOR, ASYNCPG, SQLALCHEMY, NINJA, DRF, V1)
JUDGED = (OURS, FLOOR, SQLALCHEMY, NINJA, V1)  # what the goals compare


@dataclass(frozen=True, slots=True)
class Server:
    """A peer that answers on a port; `label` is how its database connections are told from others'."""

    peer: Peer
    port: int
    pid: int
    database: str
    label: str


@contextmanager
def running(peer: Peer, database: str, *, host: Path | None = None, workers: int = 1) -> Iterator[Server]:
    """Serve a peer for the block. With `host`, it finds the database in that folder of sockets: the counting proxy."""
    port = _free_port()
    label = f"{LABEL}{port}"
    log = DATA_DIR / f"{peer.name.replace(' ', '-')}.log"
    command = [str(_python(peer)), *peer.arguments, *_address(peer, port, workers)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=_environment(peer, database, label, host), stdout=output, stderr=output
        )
    try:
        _wait(port, process, log)
        yield Server(peer, port, process.pid, database, label)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _python(peer: Peer) -> Path:
    # The floor reads the site's own statements, and needs nothing that the site does not have.
    return Path(sys.executable) if peer.is_ours or peer is FLOOR else PEERS_PYTHON


def _address(peer: Peer, port: int, workers: int) -> list[str]:
    if "uvicorn" in peer.arguments:
        return ["--host", "127.0.0.1", "--port", str(port)]
    return ["--bind", f"127.0.0.1:{port}", "--workers", str(workers)]


def _environment(peer: Peer, database: str, label: str, host: Path | None) -> dict[str, str]:
    url = connection_url(DATA_DIR, "web", database)
    if host:
        url = build_url({**parse_url(url), "host": str(host)})
    given = {
        "DATA_DIR": str(DATA_DIR),
        "PEER_DATABASE_URL": url,
        "PGAPPNAME": label,
    }
    if peer.is_ours:
        given |= {
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "BENCH_DATABASE": database,
            "BENCH_HOST": str(host or ""),
            "DATABASE_URL": "",
            "DATABASE_ROLE": "web",
            "CONVERSATIONS_PER_HOUR": "1000",
            "MESSAGES_PER_MINUTE": "1000",
            "DJANGO_SECRET_KEY": "",
        }
    return {**os.environ, "PYTHONPATH": str(PROJECT), **given, **dict(peer.environment)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/messaging/conversations")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise SystemExit(f"A peer did not start: see {log}.")
