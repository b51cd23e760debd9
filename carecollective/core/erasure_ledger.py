"""The ledger of erased members, a file beside the backups: a restored backup erases again who left after it was made.

Only ids and times stand in it, one member a line. Lines are added and never changed.
"""

import logging
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings

from carecollective.postgres import locks

logger = logging.getLogger(__name__)

NAME = "erased-members.txt"
# Each writer holds the file for milliseconds. A file system that hangs must not hold up who leaves.
LOCK_SECONDS = 5.0


def append(members: Mapping[UUID, datetime], *, folder: Path | None = None) -> int:
    """Add the members that the ledger lacks, with the times at which they were erased; return how many. It is on the disk then.

    The ledger is the one in BACKUP_DIR unless a `folder` is named. Raises OSError.
    """
    path = _path(folder)
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
        # A crash while a line was written leaves half of it: what follows begins on a line of its own.
        start = b"\n" if content and not content.endswith(b"\n") else b""
        lines = "".join(f"{member} {erased_at.isoformat()}\n" for member, erased_at in missing)
        file.write(start + lines.encode())
        file.flush()
        os.fsync(file.fileno())
    if not content:
        _sync_folder(path.parent)
    return len(missing)


def read(folder: Path | None = None) -> Mapping[UUID, datetime]:
    """Return the erased members and when each was erased; nobody where there is no ledger. Raises OSError."""
    path = _path(folder)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    return _parse(content, path)


def exists(folder: Path) -> bool:
    return _path(folder).is_file()


def _path(folder: Path | None) -> Path:
    place: Path = settings.BACKUP_DIR if folder is None else folder
    return place / NAME


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
    """Wait until the disk has the new file's name, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
