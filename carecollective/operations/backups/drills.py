"""The restore drill: every few days the worker restores the newest backup, and alerts staff if that fails or is overdue."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from carecollective.operations.backups.drill_record import DrillRecord, read_record
from carecollective.operations.backups.dumps import list_backups
from carecollective.operations.backups.encryption import is_encrypted
from carecollective.operations.backups.manifest import read_manifest
from carecollective.operations.backups.restores import run_restore_drill
from carecollective.operations.connections import connected, url_of
from carecollective.operations.errors import OperationError
from rollout.alerts import lifecycle
from rollout.targeting import snapshot

logger = logging.getLogger(__name__)

FAILED, OVERDUE = "restore_drill_failed", "restore_drill_overdue"
# Time for the person who made a backup to try it first.
SETTLED_AFTER = timedelta(hours=1)
# The wait after a failure, and the grace before staff are alerted that a drill is overdue.
RETRY_AFTER = timedelta(days=1)
ANSWER_SECONDS = 60.0


def run_due_drill() -> int:
    """Restore the newest backup if a drill is due, alert staff if the latest failed or is overdue; return how many ran.

    `restore --verify` counts as a drill. Without backups in BACKUP_DIR, or with RESTORE_DRILL_DAYS 0, none is due. A task of the
    worker.
    """
    backups = list(_finished_backups()) if settings.RESTORE_DRILL_DAYS else []
    if not backups:
        lifecycle.resolve(FAILED)
        lifecycle.resolve(OVERDUE)
        return 0
    record = _read_record()
    dump = _find_due(backups, record)
    if dump is not None:
        try:
            run_restore_drill(dump, say=logger.debug)
        except (OperationError, OSError) as problem:
            logger.warning("The restore drill of %s failed: %s", dump.name, " ".join(str(problem).split()))
        record = _read_record()
    _alert(backups, record)
    return dump is not None


def _finished_backups() -> Iterator[tuple[datetime, Path]]:
    """Yield time and dump of each finished backup in BACKUP_DIR, the newest first."""
    for dump in list_backups(settings.BACKUP_DIR):
        try:
            yield datetime.fromisoformat(read_manifest(dump).finished_at), dump
        except (OperationError, ValueError):
            continue


def _find_due(backups: Sequence[tuple[datetime, Path]], record: DrillRecord) -> Path | None:
    """Return the backup to try now, if any. One that this host has no key for is left to other hosts."""
    interval = timedelta(days=settings.RESTORE_DRILL_DAYS)
    if record.passed_at is not None and record.now - record.passed_at < interval:
        return None
    latest = record.latest
    if latest is not None and latest.failure and record.now - latest.tried_at < RETRY_AFTER:
        return None
    dump = next((dump for finished_at, dump in backups if record.now - finished_at >= SETTLED_AFTER), None)
    return None if dump is None or _lacks_key(dump) else dump


def _lacks_key(dump: Path) -> bool:
    return is_encrypted(dump) and settings.BACKUP_IDENTITY_FILE is None


def _alert(backups: Sequence[tuple[datetime, Path]], record: DrillRecord) -> None:
    latest = record.latest
    failed = f"{latest.dump} could not be restored in a trial: {latest.failure}" if latest and latest.failure else ""
    since = record.passed_at or backups[-1][0]
    waited = record.now - since
    overdue = ""
    if waited >= timedelta(days=settings.RESTORE_DRILL_DAYS) + RETRY_AFTER:
        overdue = f"No backup was restored in a trial for {waited.days} days."
        if _lacks_key(backups[0][1]):
            overdue += " They are encrypted, and this host has no key for them."
    stage = snapshot.read_now().stage
    lifecycle.raise_or_resolve(FAILED, failed, stage=stage)
    lifecycle.raise_or_resolve(OVERDUE, overdue, stage=stage)


def _read_record() -> DrillRecord:
    with connected(url_of("owner"), autocommit=True, answer_seconds=ANSWER_SECONDS) as session:
        return read_record(session)
