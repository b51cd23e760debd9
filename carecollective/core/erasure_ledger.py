"""The ledger of erased members, a file beside the backups. After a restore, its members are erased again.

One line for each member: id and time. Lines are only added.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings

from carecollective.postgres import locks

logger = logging.getLogger(__name__)

NAME = "erased-members.txt"
# A writer holds the file for milliseconds. A file system that hangs must not delay an erasure for longer.
LOCK_SECONDS = 5.0


def append(members: Mapping[UUID, datetime]) -> int:
    """Add the members that the ledger lacks, with the times of their erasure, and return how many.

    They are on the disk when this returns. Raises OSError.
    """
    (path,) = _paths()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = locks.lock(path, seconds=LOCK_SECONDS)
    if descriptor is None:
        raise TimeoutError(f"Another process has held {path} for {LOCK_SECONDS:.0f} s.")
    with os.fdopen(descriptor, "r+b") as file:
        content = file.read()
        listed = _parse(content, path)
        missing = [(member, erased_at) for member, erased_at in members.items() if member not in listed]
        if not missing:
            return 0
        # A crash may have left half a line: begin on a new one.
        start = b"\n" if content and not content.endswith(b"\n") else b""
        lines = "".join(f"{member} {erased_at.isoformat()}\n" for member, erased_at in missing)
        file.write(start + lines.encode())
        file.flush()
        os.fsync(file.fileno())
    if not content:
        _sync_folder(path.parent)
    return len(missing)


def read(*folders: Path) -> Mapping[UUID, datetime]:
    """Return the erased members and when each was erased, of the ledgers in BACKUP_DIR and these folders. Raises OSError."""
    members: dict[UUID, datetime] = {}
    for path in _paths(*folders):
        with suppress(FileNotFoundError):
            members |= _parse(path.read_bytes(), path)
    return members


def exists(*folders: Path) -> bool:
    """Tell whether there is a ledger in BACKUP_DIR or in one of these folders."""
    return any(path.is_file() for path in _paths(*folders))


def _paths(*folders: Path) -> Sequence[Path]:
    return [folder / NAME for folder in dict.fromkeys((settings.BACKUP_DIR, *folders))]


def _parse(content: bytes, path: Path) -> Mapping[UUID, datetime]:
    members: dict[UUID, datetime] = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        member, _, moment = line.partition(" ")
        try:
            erased_at = datetime.fromisoformat(moment)
            if erased_at.tzinfo is None:
                raise ValueError("cut off")
            members.setdefault(UUID(member), erased_at)
        except ValueError:
            logger.warning("Line %d of %s cannot be read.", number, path)
    return members


def _sync_folder(folder: Path) -> None:
    """Wait until the new file's name is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
