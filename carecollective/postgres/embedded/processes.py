"""Processes by identity: a process id alone may belong to another process by now."""

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc/self")


@dataclass(frozen=True)
class Process:
    """A handle on one process, also after its id was given to another."""

    pid: int
    child: subprocess.Popen[bytes] | None = None
    descriptor: int | None = None

    @classmethod
    def of_child(cls, child: subprocess.Popen[bytes]) -> "Process":
        return cls(child.pid, child=child)

    @classmethod
    def open(cls, pid: int) -> "Process | None":
        """Return a handle on a process that somebody else started, or None if there is none."""
        if pid <= 0:
            return None
        try:
            return cls(pid, descriptor=os.pidfd_open(pid)) if hasattr(os, "pidfd_open") else cls._probe(pid)
        except ProcessLookupError:
            return None
        except OSError:
            return cls._probe(pid)

    @classmethod
    def _probe(cls, pid: int) -> "Process | None":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return cls(pid)

    @property
    def is_child(self) -> bool:
        return self.child is not None

    def is_alive(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        if self.descriptor is not None:
            return not select.select([self.descriptor], [], [], 0)[0]
        return self._probe(self.pid) is not None

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.child is not None:
                self.child.send_signal(number)
            elif self.descriptor is not None:
                signal.pidfd_send_signal(self.descriptor, number)
            else:
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; return whether it came within the time."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def is_postmaster_of(pid: int, cluster: Path) -> bool:
    """Tell whether this id is a running postmaster of this folder."""
    arguments = _arguments(pid)
    # Backends carry a title such as "postgres: checkpointer"; only the postmaster keeps its arguments.
    if not arguments or os.path.basename(arguments[0]) != "postgres" or "-D" not in arguments[:-1]:
        return False
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", cluster)
    except FileNotFoundError:
        if PROC.exists():
            return False
    except OSError:
        # In a container, even root may not read the folder of another account's process.
        pass
    try:
        return os.path.samefile(arguments[arguments.index("-D") + 1], cluster)
    except OSError:
        return False


def _arguments(pid: int) -> list[str]:
    if PROC.exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
        except OSError:
            return []
    # Without /proc the arguments come as one line: enough to split, as the folder follows -D up to the next option.
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    program, found, rest = shown.strip().partition(" -D ")
    return [program, "-D", rest.partition(" -c ")[0]] if found else [program]
