"""CPU time of processes, from /proc: by nanoseconds where the kernel counts them so, else by ticks of ten milliseconds."""

from collections.abc import Iterable
from pathlib import Path

import psutil

from benchmarks.seed import DATA_DIR
from benchmarks.servers import Server
from carecollective.postgres.dsn import connect, connection_url

SOURCE = "/proc/PID/task/*/schedstat" if Path("/proc/self/schedstat").exists() else "process times (psutil)"


class Meter:
    """Reads how much CPU a server and the database behind it have used, in microseconds."""

    def __init__(self, server: Server) -> None:
        self.server_processes = [
            server.pid,
            *(child.pid for child in psutil.Process(server.pid).children(recursive=True)),
        ]
        self.label, self.database, self.is_ours = server.label, server.database, server.peer.is_ours
        self.monitor = connect(connection_url(DATA_DIR, "superuser", "postgres"), autocommit=True)

    def close(self) -> None:
        self.monitor.close()

    def read(self) -> tuple[float, float]:
        """Return the CPU of the server's processes, and of the database's processes that serve it."""
        return used_by(self.server_processes), used_by(self.backends())

    def backends(self) -> list[int]:
        """Return the database's processes of this server; for the site with those of its background threads."""
        found = self.monitor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND (application_name = %s"
            " OR %s AND application_name LIKE 'carecollective%%')",
            [self.database, self.label, self.is_ours],
        )
        return [pid for (pid,) in found.fetchall()]


def used_by(processes: Iterable[int]) -> float:
    return sum(_used(pid) for pid in processes)


def _used(pid: int) -> float:
    if SOURCE.startswith("/proc"):
        return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1000
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system) * 1_000_000
