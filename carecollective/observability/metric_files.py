"""Files in which each process of the site keeps its counters. Imports no Django: gunicorn's master uses it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Kinds of metrics that keep counting when their process ends.
KEPT = ("counter", "histogram", "summary", "gauge_sum")
# The files of all ended processes; no process has this id.
ENDED = 0


def folder() -> Path | None:
    """Return the folder of the files, or None in a process that keeps its counters in memory."""
    path = os.environ.get(FOLDER_VARIABLE)
    return Path(path) if path else None


@contextmanager
def locked(home: Path, *, to_write: bool = False) -> Iterator[None]:
    """Lock the files, so that nothing is counted twice or missed while two are merged."""
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if to_write else fcntl.LOCK_SH)
        yield


def fold_ended(pid: int) -> None:
    """Merge the files of an ended process into those of all ended ones.

    Otherwise each scrape would read the files of every worker that was ever replaced.
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
