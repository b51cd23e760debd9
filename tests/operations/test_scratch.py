"""A scratch database is dropped although somebody is in it that its owner may not end, such as autovacuum."""

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
from django.conf import settings

from carecollective.operations.backups import restores
from carecollective.operations.backups.manifest import Manifest
from carecollective.operations.backups.scratch import SCRATCH, drop_database, prune_scratch_databases
from carecollective.operations.errors import OperationError
from carecollective.postgres.dsn import parse_url
from tests import databases
from tests.operations.conftest import ask, url


class Dropped(socket.socket):
    """A connection that ends when nobody knows it any more, as libpq's do."""

    def __del__(self) -> None:
        self.close()


@pytest.fixture
def left_over(world: str, at: Callable[[str], None]) -> Iterator[str]:
    """A scratch database that a killed drill left."""
    name = f"{world}{SCRATCH}left"
    with psycopg.connect(url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} OWNER {databases.OWNER}".encode())
    at(world)
    yield name
    databases.drop(settings.DATA_DIR, name)


def exists(name: str) -> bool:
    return bool(ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"))


def test_it_waits_for_who_may_not_be_ended(left_over: str) -> None:
    # The server refuses to end a superuser's session with the very words that it has for autovacuum.
    administrator = psycopg.connect(url(left_over), autocommit=True)
    leaves = threading.Timer(1.5, administrator.close)
    leaves.start()
    assert prune_scratch_databases() == 1
    leaves.join()
    assert not exists(left_over)


def test_it_ends_who_may_be_ended(left_over: str) -> None:
    with psycopg.connect(url(left_over, "owner"), autocommit=True) as session:
        assert prune_scratch_databases() == 1
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_it_gives_up_in_one_sentence(left_over: str) -> None:
    with psycopg.connect(url(left_over), autocommit=True), psycopg.connect(url("postgres", "owner")) as session:
        session.autocommit = True
        began = time.monotonic()
        with pytest.raises(OperationError, match="could not be dropped within 1 s") as refused:
            drop_database(session, left_over, seconds=1)
        assert time.monotonic() - began < 30
    assert "\n" not in str(refused.value)
    assert exists(left_over)


def test_a_drill_stopped_while_it_connects_is_dropped_at_once(
    world: str, at: Callable[[str], None], backed_up: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_stopped(dump: Path, address: str, **options: Any) -> NoReturn:
        # The server waits for the password: until then it takes no part in what DROP DATABASE asks of every session.
        target = parse_url(address)
        half_open = Dropped(socket.AF_UNIX)
        half_open.connect(f"{target['host']}/.s.PGSQL.{target.get('port', 5432)}")
        words = b"".join(f"{part}\0".encode() for part in ("user", target["user"], "database", target["dbname"], ""))
        half_open.sendall(struct.pack("!II", len(words) + 8, 196608) + words)
        assert half_open.recv(1) == b"R"
        sys.exit(143)

    at(world)
    monkeypatch.setattr(restores, "restore_into", be_stopped)
    began = time.monotonic()
    with pytest.raises(SystemExit):
        restores.run_restore_drill(backed_up[0], say=lambda line: None)
    # Otherwise it lasts until the server gives up, a minute.
    assert time.monotonic() - began < 45
    assert ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname LIKE '{world[:40]}{SCRATCH}%'") == 0
