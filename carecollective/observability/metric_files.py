"""The files in which each process of the site keeps its counters, and their reader adds them up.

Nothing of Django is imported here: gunicorn's master folds the files of workers that ended.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# What goes on counting when its process has ended. No process has this id.
KEPT = ("counter", "histogram", "summary", "gauge_sum")
ENDED = 0


def folder() -> Path | None:
    """Return where the files are, or None in a process that is alone and keeps its counters in memory."""
    path = os.environ.get(FOLDER_VARIABLE)
    return Path(path) if path else None


@contextmanager
def locked(home: Path, *, to_write: bool = False) -> Iterator[None]:
    """Keep the files as they are for the block: nothing is counted twice or not at all while two become one."""
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if to_write else fcntl.LOCK_SH)
        yield


def fold_ended(pid: int) -> None:
    """Add what an ended process counted to what all that ended before it did, and remove its files.

    Else they would be one more for each worker that was ever replaced, and each scrape would read them all.
    """
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415 -- reads the environment when imported
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    home = folder()
    if home is None:
        return
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
    with locked(home, to_write=True):
        for kind in KEPT:
            path = home / f"{kind}_{pid}.db"
            if not path.exists():
                continue
            kept = MmapedDict(str(home / f"{kind}_{ENDED}.db"))  # type: ignore[no-untyped-call]
            for key, value, timestamp, _position in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                before, _timestamp = kept.read_value(key)  # type: ignore[no-untyped-call]
                kept.write_value(key, before + value, timestamp)  # type: ignore[no-untyped-call]
            kept.close()  # type: ignore[no-untyped-call]
            path.unlink()
