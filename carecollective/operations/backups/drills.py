"""The restore drill: every few days the worker tries the newest backup, and staff hear of it when that fails or is overdue."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from carecollective.operations.backups.dumps import list_backups
from carecollective.operations.backups.encryption import is_encrypted
from carecollective.operations.backups.manifest import read_manifest
from carecollective.operations.backups.restores import restore_for_trial
from carecollective.operations.backups.trial_record import TrialRecord, read_record
from carecollective.operations.connections import connected, url_of
from carecollective.operations.errors import OperationError
from rollout.alerts import lifecycle
from rollout.targeting import snapshot

logger = logging.getLogger(__name__)

FAILED, OVERDUE = "restore_drill_failed", "restore_drill_overdue"
# Whoever made a backup may try it themselves first.
SETTLED_AFTER = timedelta(hours=1)
# After a failure, and before staff are told that nothing was tried.
AGAIN_AFTER = timedelta(days=1)
ANSWER_SECONDS = 60.0


def run_due_drill() -> int:
    """Try the newest backup where a trial is due, and alert staff where the latest failed or none was made; return how many.

    Trials by `restore --verify` count. Without backups in BACKUP_DIR, or with RESTORE_DRILL_DAYS 0, nothing is due. The worker's.
    """
    backups = list(_finished_backups()) if settings.RESTORE_DRILL_DAYS else []
    if not backups:
        lifecycle.resolve(FAILED)
        lifecycle.resolve(OVERDUE)
        return 0
    record = _read()
    dump = _find_due(backups, record)
    if dump is not None:
        try:
            restore_for_trial(dump, say=logger.debug)
        except (OperationError, OSError) as problem:
            logger.warning("The restore drill of %s failed: %s", dump.name, " ".join(str(problem).split()))
        record = _read()
    _alert(backups, record)
    return dump is not None


def _finished_backups() -> Iterator[tuple[datetime, Path]]:
    """Yield when each backup in BACKUP_DIR was finished, and its dump, the newest first."""
    for dump in list_backups(settings.BACKUP_DIR):
        try:
            yield datetime.fromisoformat(read_manifest(dump).finished_at), dump
        except (OperationError, ValueError):
            continue


def _find_due(backups: list[tuple[datetime, Path]], record: TrialRecord) -> Path | None:
    """Return the backup that is to be tried now, if any. One that this host has no key for is left to who has it."""
    interval = timedelta(days=settings.RESTORE_DRILL_DAYS)
    if record.passed_at is not None and record.now - record.passed_at < interval:
        return None
    latest = record.latest
    if latest is not None and latest.failure and record.now - latest.tried_at < AGAIN_AFTER:
        return None
    dump = next((dump for finished_at, dump in backups if record.now - finished_at >= SETTLED_AFTER), None)
    if dump is None or (is_encrypted(dump) and settings.BACKUP_IDENTITY_FILE is None):
        return None
    return dump


def _alert(backups: list[tuple[datetime, Path]], record: TrialRecord) -> None:
    latest = record.latest
    failed = f"{latest.dump} could not be restored in a trial: {latest.failure}" if latest and latest.failure else ""
    since = record.passed_at or backups[-1][0]
    waited = record.now - since
    overdue = ""
    if waited >= timedelta(days=settings.RESTORE_DRILL_DAYS) + AGAIN_AFTER:
        overdue = f"No backup was restored in a trial for {waited.days} days."
        if is_encrypted(backups[0][1]) and settings.BACKUP_IDENTITY_FILE is None:
            overdue += " They are encrypted, and this host has no key for them."
    stage = snapshot.read_now().stage
    lifecycle.raise_or_resolve(FAILED, failed, stage=stage)
    lifecycle.raise_or_resolve(OVERDUE, overdue, stage=stage)


def _read() -> TrialRecord:
    with connected(url_of("owner"), autocommit=True, answer_seconds=ANSWER_SECONDS) as session:
        return read_record(session)
