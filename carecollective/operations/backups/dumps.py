"""A backup: a dump of one moment, and a manifest of the same moment beside it."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from carecollective.operations.backups.encryption import encrypt
from carecollective.operations.backups.manifest import (
    DUMP,
    ENCRYPTED_DUMP,
    MANIFEST,
    PARTIAL,
    Manifest,
    digest_of,
    fill_manifest,
    path_of_manifest,
    reserved,
)
from carecollective.operations.connections import Session, connected, url_of
from carecollective.operations.contents import Say, read_contents, read_sequences
from carecollective.operations.errors import OperationError
from carecollective.operations.pg_tools import find_client, run_client
from carecollective.operations.verification.parts import read_parts
from carecollective.postgres import locks
from carecollective.postgres.roles import fetch_value

logger = logging.getLogger(__name__)

NAME = "carecollective-"
# Not longer behind a migration: everybody after us in the lock's queue would wait too.
LOCK_SECONDS = 30

_MOMENT = "SELECT clock_timestamp(), to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"')"
_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
# A legacy database before its first migration must be possible to back up, too.
_IS_OURS = "SELECT to_regclass('public.django_migrations') IS NOT NULL"
_MIGRATIONS = "SELECT app, max(name) FROM public.django_migrations GROUP BY app ORDER BY app"


def make_backup(folder: Path, *, say: Say) -> tuple[Path, Manifest]:
    """Write a dump and its manifest into a folder; return the dump's path and the manifest.

    With BACKUP_RECIPIENT set, the dump is encrypted before it reaches the disk. An unfinished backup leaves nothing that looks
    like a backup. Raises OperationError.
    """
    url = url_of("ops")
    _make_private(folder)
    prune_partials(folder)
    with connected(url) as session:
        client = find_client("pg_dump", server_version=session.info.server_version // 10_000)
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # The dump uses this transaction's snapshot, so that both see the same rows.
        snapshot = fetch_value(session, "SELECT pg_export_snapshot()")
        ((started_at, stamp),) = session.execute(_MOMENT).fetchall()
        recipients: Sequence[Any] = settings.BACKUP_RECIPIENT
        dump = folder / f"{NAME}{stamp}{ENCRYPTED_DUMP if recipients else DUMP}"
        if dump.exists():
            raise OperationError(f"{dump} is there already: wait a second and try again.")
        # pg_dump inherits the lock: if only this process is killed, pg_dump goes on writing for a moment.
        with reserved(dump) as (draft, descriptor), reserved(path_of_manifest(dump)) as (page, _):
            state = read_state(session, say=say)
            total, done = len(state.tables), 0

            def on_line(line: str) -> None:
                nonlocal done
                if line.startswith("dumping contents of table"):
                    done += 1
                    say(f"Dump: {done} of {total} tables")

            arguments = ["--format=custom", f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_SECONDS}s"]
            # Only an administrator could restore rights on the server's own functions.
            arguments.append("--exclude-schema=pg_catalog")
            encrypts = partial(encrypt, target=draft, recipients=recipients) if recipients else None
            if encrypts is None:
                arguments.append(f"--file={draft}")
            run_client(client, arguments, url=url, on_line=on_line, keep_open=[descriptor], take_output=encrypts)
            say("Reading the dump once more …")
            finished_at = fetch_value(session, _MOMENT)
            manifest = replace(
                state,
                started_at=started_at.isoformat(),
                finished_at=finished_at.isoformat(),
                bytes=draft.stat().st_size,
                sha256=digest_of(draft),
                versions={**state.versions, "client": client.description},
            )
            fill_manifest(page, manifest)
            _settle(draft, dump)
            page.replace(path_of_manifest(dump))
    return dump, manifest


def read_state(session: Session, *, say: Say) -> Manifest:
    """Return the manifest of the database in the session's transaction, without facts of a dump."""
    parts = read_parts(session.cursor())
    apart = {"policy", "grant"}
    return Manifest(
        database=session.info.dbname,
        owner=fetch_value(session, _OWNER),
        started_at="",
        finished_at="",
        bytes=0,
        sha256="",
        versions={"server": session.info.parameter_status("server_version") or "", "django": django.get_version()},
        migrations=dict(session.execute(_MIGRATIONS).fetchall()) if fetch_value(session, _IS_OURS) else {},
        tables=read_contents(session, say=say),
        sequences=read_sequences(session),
        policies=[part for part in parts if part.kind == "policy"],
        grants=[part for part in parts if part.kind == "grant"],
        structure=[part for part in parts if part.kind not in apart],
    )


def list_backups(folder: Path) -> Sequence[Path]:
    """Return the dumps that have a manifest, the newest first."""
    dumps = sorted([*folder.glob(f"{NAME}*{DUMP}"), *folder.glob(f"{NAME}*{ENCRYPTED_DUMP}")], reverse=True)
    return [dump for dump in dumps if path_of_manifest(dump).is_file()]


def prune_backups() -> int:
    """Delete all but the newest BACKUPS_KEPT backups in BACKUP_DIR, and what killed ones left there.

    Returns how many backups were deleted.
    """
    outdated = list_backups(settings.BACKUP_DIR)[settings.BACKUPS_KEPT :]
    for dump in outdated:
        # Renamed first: if this process ends halfway, the next one removes the rest.
        dump.replace(dump.with_name(dump.name + PARTIAL))
    prune_partials(settings.BACKUP_DIR)
    return len(outdated)


def prune_partials(folder: Path) -> int:
    """Delete the drafts of killed backups; return how many. A draft that is being written is locked."""
    removed = 0
    for draft in sorted(folder.glob(f"{NAME}*{PARTIAL}")):
        try:
            descriptor = locks.try_lock(draft)
            if descriptor is None:
                continue
            _remove_with(draft)
            os.close(descriptor)
            removed += 1
        except OSError as problem:
            # It belongs to another user, who prunes it.
            logger.warning("%s could not be deleted: %s.", draft, problem.strerror)
    return removed


def _remove_with(draft: Path) -> None:
    """Delete a draft, and its dump or manifest if that has its final name already."""
    path = draft.with_name(draft.name.removesuffix(PARTIAL))
    if not path.exists():
        stem = path.name.removesuffix(MANIFEST)
        others = (
            [path_of_manifest(path)]
            if stem == path.name
            else [path.with_name(stem + end) for end in (DUMP, ENCRYPTED_DUMP)]
        )
        for other in others:
            other.unlink(missing_ok=True)
    draft.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
    except OSError as problem:
        raise OperationError(f"{folder} cannot be used: {problem.strerror or problem}.") from None


def _settle(draft: Path, dump: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(dump)
