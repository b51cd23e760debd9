"""The process that supervises the embedded server: `python -m carecollective.postgres.embedded.supervisor DATA_DIR`.

It runs detached from the process that started it, restarts a dead postmaster, and stops it when the last process that used
it is gone. The kernel frees the locks of a dead process, however it died.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import psutil

from carecollective.postgres.embedded.cluster import RETRY_SECONDS, Cluster, is_alive
from carecollective.postgres.embedded.layout import DataDirectory
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.locks import is_current, lock, try_lock

POLL_SECONDS = 0.2
RESTART_PAUSE_SECONDS = 5.0


class Supervisor:
    def __init__(self, data: DataDirectory, supervisor_lock: int) -> None:
        self.data = data
        self.cluster = Cluster(data)
        self.supervisor_lock = supervisor_lock
        self.users_lock: int | None = None
        self.stopping = False

    def run(self) -> None:
        """Keep the server running as long as somebody uses it."""
        postmaster = None
        try:
            self.cluster.create()
            postmaster = self._adopt() or self.cluster.start(give_up=self._is_over)
            while not self._is_over():
                if postmaster is None or not is_alive(postmaster):
                    postmaster = self._restart()
                time.sleep(POLL_SECONDS)
        finally:
            remaining = postmaster or self.cluster.find()
            if remaining is not None:
                self.cluster.stop(remaining)

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _is_over(self) -> bool:
        if self.stopping or not is_current(self.supervisor_lock, self.data.supervisor_lock):
            return True
        # Held from here on: a process that comes now waits until the server has stopped, and starts it again.
        if self.users_lock is None:
            self.users_lock = try_lock(self.data.users_lock)
        return self.users_lock is not None

    def _adopt(self) -> psutil.Process | None:
        running = self.cluster.find()
        if running is None:
            return None
        deadline = time.monotonic() + RETRY_SECONDS
        while is_alive(running) and time.monotonic() < deadline:
            if self.cluster.answers():
                return running
            time.sleep(0.1)
        # It hangs, or listens elsewhere because the folder was moved.
        self.cluster.stop(running)
        return None

    def _restart(self) -> psutil.Process | None:
        report("The server has ended; starting it again.")
        try:
            return self.cluster.start(give_up=self._is_over)
        except PostgresError as problem:
            report(str(problem))
            time.sleep(RESTART_PAUSE_SECONDS)
            return None


def report(message: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S UTC [supervisor]", time.gmtime()), message, file=sys.stderr, flush=True)


def main() -> int:
    os.umask(0o077)
    data = DataDirectory(Path(sys.argv[1]))
    # Wait a moment: another process may be testing whether the lock is held.
    supervisor_lock = lock(data.supervisor_lock, seconds=3)
    if supervisor_lock is None:
        return 0
    if os.fork():
        # The starter need not wait for us and finds no zombie later. The fork holds the lock.
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor = Supervisor(data, supervisor_lock)
    signal.signal(signal.SIGTERM, supervisor.stop)
    try:
        supervisor.run()
    except (PostgresError, psutil.Error, OSError) as problem:
        report(str(problem))
        data.failure.write_text(str(problem), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
