"""A backup or a restore drill that is stopped or killed leaves no copy of members' data behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings

from carecollective.operations.backups.dumps import list_backups, make_backup, prune_backups, prune_partials
from carecollective.operations.backups.manifest import path_of_manifest, reserved
from carecollective.operations.backups.scratch import SCRATCH, prune_scratch_databases
from carecollective.postgres import advisory_locks, locks
from tests import databases
from tests.databases import ROOT
from tests.operations.conftest import ask, url
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

At = Callable[[str], None]
# Text that does not compress, so that the dump takes a while.
MUCH = """
INSERT INTO application_logs (key, service, method, event, log_level, request_id, stage, duration_ms, connection_error)
SELECT gen_random_uuid(), 'Much', 'sendMessage', 'success', 'info',
  (SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 20) AS m), 'disabled', 1, false
FROM generate_series(1, 30000) AS n
"""


def quietly(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def large_template(world: str) -> Iterator[str]:
    """A copy of the world whose dump takes seconds; nobody changes it."""
    name = f"{world}_large"
    databases.recreate(django_settings.DATA_DIR, name, world)
    with psycopg.connect(url(name), autocommit=True) as superuser:
        superuser.execute(MUCH)
    yield name
    databases.drop(django_settings.DATA_DIR, name)


@pytest.fixture
def large(large_template: str) -> Iterator[str]:
    """A copy of it, for one test."""
    name = f"{large_template}_copy"
    databases.recreate(django_settings.DATA_DIR, name, large_template)
    yield name
    databases.drop(django_settings.DATA_DIR, name)


@contextmanager
def started(database: str, *arguments: object, role: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a management command on a database in a process of its own, ended at the latest with the block."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.scratch_settings",
        "DATABASE_ROLE": role,
        "TEST_DATABASE": database,
        "TEST_DATA_DIR": str(django_settings.DATA_DIR),
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "manage.py", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def holds_data(folder: Path) -> bool:
    return any(draft.stat().st_size > 100_000 for draft in folder.glob("*.dump.partial"))


def pg_dump_is_over(folder: Path) -> bool:
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in arguments.read_bytes():
                return False
        except OSError:
            continue
    return True


def is_locked(path: Path) -> bool:
    descriptor = locks.try_lock(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_backup_leaves_nothing(large: str, tmp_path: Path, number: signal.Signals) -> None:
    with started(large, "backup", "--to", tmp_path, role="web") as process:
        wait_for(lambda: holds_data(tmp_path), seconds=60)
        process.send_signal(number)
        assert process.wait(30) != 0
        assert left_in(tmp_path) == []
    wait_for(lambda: pg_dump_is_over(tmp_path), seconds=10)
    assert left_in(tmp_path) == []


def killed_backup(database: str, folder: Path) -> None:
    with started(database, "backup", "--to", folder, role="web") as process:
        wait_for(lambda: holds_data(folder), seconds=60)
        process.kill()
        process.wait(10)
    # A dying pg_dump gives up its arguments before its locks.
    wait_for(lambda: pg_dump_is_over(folder) and not any(map(is_locked, folder.glob("*.partial"))), seconds=60)
    assert holds_data(folder)


def test_the_next_backup_prunes_what_a_killed_one_left(large: str, world: str, at: At, tmp_path: Path) -> None:
    killed_backup(large, tmp_path)
    at(world)
    dump, _manifest = make_backup(tmp_path, say=quietly)
    assert left_in(tmp_path) == [dump.name, path_of_manifest(dump).name]


def test_the_worker_prunes_what_a_killed_backup_left(large: str, tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIR = tmp_path
    killed_backup(large, tmp_path)
    assert prune_backups() == 0
    assert left_in(tmp_path) == []


def test_a_backup_in_work_is_left_alone(large: str, tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIR = tmp_path
    with started(large, "backup", "--to", tmp_path, role="web") as process:
        wait_for(lambda: holds_data(tmp_path), seconds=60)
        while process.poll() is None:
            prune_backups()
            time.sleep(0.01)
        assert process.returncode == 0
    (dump,) = list_backups(tmp_path)
    assert left_in(tmp_path) == [dump.name, path_of_manifest(dump).name]


def test_a_backup_killed_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    name = "carecollective-20261101T000000Z"
    halves = (
        (f"{name}.dump.partial", f"{name}.manifest.json.partial"),
        (f"{name}.dump", f"{name}.manifest.json.partial"),
        (f"{name}.dump.partial", f"{name}.manifest.json"),  # one that is outdated, renamed to be deleted
    )
    for files in halves:
        for file in files:
            (tmp_path / file).touch()
        prune_partials(tmp_path)
        assert left_in(tmp_path) == []
    # Somebody's own dump, and a manifest that was being written again: the pair stays.
    for file in (f"{name}.dump", f"{name}.manifest.json", f"{name}.manifest.json.partial", "other.dump.partial"):
        (tmp_path / file).touch()
    assert prune_partials(tmp_path) == 1
    assert left_in(tmp_path) == [f"{name}.dump", f"{name}.manifest.json", "other.dump.partial"]


def test_a_draft_that_somebody_writes_is_not_pruned(tmp_path: Path) -> None:
    path = tmp_path / "carecollective-20261101T000000Z.manifest.json"
    with reserved(path) as (draft, _descriptor):
        assert prune_partials(tmp_path) == 0
        assert draft.exists()
    assert left_in(tmp_path) == []


def scratch_databases(database: str) -> int:
    return int(ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname LIKE '{database[:40]}{SCRATCH}%'"))


@pytest.fixture
def large_backup(large: str, at: At, tmp_path: Path) -> Path:
    at(large)
    return make_backup(tmp_path, say=quietly)[0]


def test_a_stopped_drill_leaves_no_scratch_database(large: str, large_backup: Path) -> None:
    with started(large, "restore", large_backup, "--verify", role="owner") as process:
        wait_for(lambda: scratch_databases(large), seconds=60)
        process.terminate()
        assert process.wait(60) != 0
    assert scratch_databases(large) == 0


def test_the_worker_drops_only_databases_of_killed_drills(large: str, large_backup: Path) -> None:
    with started(large, "restore", large_backup, "--verify", role="owner") as process:
        wait_for(lambda: scratch_databases(large), seconds=60)
        assert prune_scratch_databases() == 0
        assert scratch_databases(large) == 1
        process.kill()
        process.wait(10)
    locked = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {advisory_locks.RESTORE_DRILL}"
    wait_for(lambda: ask(large, locked) == 0, seconds=10)
    assert scratch_databases(large) == 1
    assert prune_scratch_databases() == 1
    assert scratch_databases(large) == 0
