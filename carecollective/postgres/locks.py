"""File locks (flock). They belong to the open file: forks share them, and the kernel frees them when a process dies."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from carecollective.postgres.errors import PostgresError

PAUSE_SECONDS = 0.02


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Return the descriptor that holds the lock, or None if another process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if is_current(descriptor, path):
            return descriptor
        # The folder was removed and made again meanwhile: nobody else looks at the file that we have locked.
        os.close(descriptor)


def lock(path: Path, *, shared: bool = False, seconds: float) -> int | None:
    """Wait for the lock; return its descriptor, or None when the time is over."""
    deadline = time.monotonic() + seconds
    while (descriptor := try_lock(path, shared=shared)) is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE_SECONDS)
    return descriptor


@contextlib.contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock exclusively for the block."""
    descriptor = lock(path, seconds=seconds)
    if descriptor is None:
        raise PostgresError(f"Another process has held {path} for {seconds:.0f} s: is it stuck?")
    try:
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Tell whether a process holds the lock exclusively."""
    descriptor = try_lock(path, shared=True)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def is_current(descriptor: int, path: Path) -> bool:
    """Tell whether this open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
