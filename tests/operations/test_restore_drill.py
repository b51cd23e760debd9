"""The worker tries a backup every few days, keeps a record of it, and tells staff when that fails or is overdue."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from carecollective.operations.backups.drills import FAILED, OVERDUE, run_due_drill
from carecollective.operations.backups.manifest import Manifest, path_of_manifest, read_manifest, write_manifest
from carecollective.serving.worker import TaskThread
from rollout.alerts import lifecycle
from tests.operations.conftest import Copy, ask

HOURS = timedelta(hours=1)
DAYS = timedelta(days=1)


@pytest.fixture
def site(copy: Copy, at: Callable[[str], None], django_db_blocker: Any) -> Iterator[str]:
    """A copy of the world that Django works on as the site's worker does."""
    name = copy("drilled")
    connection.close()
    at(name)
    with django_db_blocker.unblock():
        yield name
        connection.close()


@pytest.fixture
def dump(backed_up: tuple[Path, Manifest], settings: Any, tmp_path: Path) -> Path:
    """The one backup in BACKUP_DIR, made two hours ago."""
    settings.BACKUP_DIR = tmp_path
    for path in (backed_up[0], path_of_manifest(backed_up[0])):
        shutil.copy(path, tmp_path)
    path = tmp_path / backed_up[0].name
    made(path, 2 * HOURS)
    return path


def made(dump: Path, ago: timedelta) -> None:
    write_manifest(replace(read_manifest(dump), finished_at=(datetime.now(UTC) - ago).isoformat()), dump)


def tried(database: str, ago: timedelta) -> None:
    """Let all trials on record have been made so long ago."""
    ask(database, f"UPDATE operations_restoretrial SET tried_at = now() - interval '{ago.total_seconds()} s'")


def damage(dump: Path) -> None:
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)


def open_kinds() -> set[str]:
    return {alert.kind for alert in lifecycle.open_alerts()} & {FAILED, OVERDUE}


def listed() -> str:
    out = StringIO()
    call_command("backup", "--list", stdout=out)
    return out.getvalue()


def test_it_tries_the_newest_once_and_again_when_days_have_gone_by(site: str, dump: Path, settings: Any) -> None:
    assert "No restore drill is on record." in listed()
    assert run_due_drill() == 1
    assert read_manifest(dump).restore_verified_at is not None
    assert f"of {dump.name}: the same to the last character" in listed()
    assert run_due_drill() == 0
    tried(site, 7 * DAYS + HOURS)
    assert run_due_drill() == 1
    settings.RESTORE_DRILL_DAYS = 30
    tried(site, 29 * DAYS)
    assert run_due_drill() == 0
    assert ask(site, "SELECT count(*) FROM operations_restoretrial WHERE failure = ''") == 2
    assert open_kinds() == set()


def test_a_failure_stays_an_alert_until_a_trial_succeeds(site: str, dump: Path) -> None:
    whole = dump.read_bytes()
    damage(dump)
    assert run_due_drill() == 1
    assert open_kinds() == {FAILED}
    assert "its checksum is not the manifest's" in listed()
    # Nothing is gained by trying at once again; a person may, and that counts.
    assert run_due_drill() == 0
    dump.write_bytes(whole)
    call_command("restore", "latest", "--verify", stdout=StringIO())
    assert run_due_drill() == 0
    assert open_kinds() == set()


def test_what_a_person_tries_in_vain_is_told_too(site: str, dump: Path) -> None:
    damage(dump)
    with pytest.raises(CommandError):
        call_command("restore", "latest", "--verify", stdout=StringIO())
    assert run_due_drill() == 0
    assert open_kinds() == {FAILED}


def test_one_that_this_host_has_no_key_for_is_left_to_who_has_it(site: str, dump: Path) -> None:
    encrypted = dump.with_name(dump.name + ".age")
    with dump.open("rb") as source, encrypted.open("wb") as target:
        pyrage.encrypt_io(source, target, [pyrage.x25519.Identity.generate().to_public()])
    dump.unlink()
    assert (run_due_drill(), open_kinds()) == (0, set())
    made(encrypted, 9 * DAYS)
    assert (run_due_drill(), open_kinds()) == (0, {OVERDUE})
    (alert,) = (alert for alert in lifecycle.open_alerts() if alert.kind == OVERDUE)
    assert alert.words.endswith("this host has no key for them.")


def test_without_backups_or_switched_off_nothing_is_due(site: str, dump: Path, settings: Any) -> None:
    damage(dump)
    assert (run_due_drill(), open_kinds()) == (1, {FAILED})
    settings.RESTORE_DRILL_DAYS = 0
    tried(site, 90 * DAYS)
    assert (run_due_drill(), open_kinds()) == (0, set())
    settings.RESTORE_DRILL_DAYS = 7
    assert (run_due_drill(), open_kinds()) == (1, {FAILED})
    dump.unlink()
    assert (run_due_drill(), open_kinds()) == (0, set())


def test_whoever_made_a_backup_may_try_it_first(site: str, dump: Path) -> None:
    made(dump, HOURS / 2)
    assert run_due_drill() == 0


def test_the_list_is_there_for_programs_too(site: str, dump: Path) -> None:
    out = StringIO()
    call_command("backup", "--list", "--json", stdout=out)
    facts = json.loads(out.getvalue())
    (backup,) = facts["backups"]
    assert (facts["ok"], facts["latest_trial"]) == (True, None)
    assert (backup["dump"], backup["encrypted"], backup["restore_verified_at"]) == (str(dump), False, None)


def test_a_drill_of_some_hours_is_no_task_that_hangs() -> None:
    def is_stuck_after(path: str, seconds: float) -> bool:
        thread = TaskThread(path, 1, leading=threading.Event(), stopping=threading.Event())
        thread.started_at = -seconds
        return thread.is_stuck

    drill = "carecollective.operations.backups.drills.run_due_drill"
    now = time.monotonic()
    assert not is_stuck_after(drill, 5 * 3600 - now)
    assert is_stuck_after(drill, 7 * 3600 - now)
    assert is_stuck_after("carecollective.mail.delivery.prune_mail", 300 - now)
