"""The processes of a site: started from a release's folder, each able to say when it is ready."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from carecollective import env, postgres
from carecollective.serving.readiness import PIPE_VARIABLE, is_ready

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Release:
    """The folder that a site's code is in, and the Python that runs it."""

    folder: Path
    python: str

    @classmethod
    def own(cls) -> "Release":
        """Return the release that this process runs."""
        python = Path(sys.executable)
        # The folder's real name, as BASE_DIR has it: a link to the newest release may lead elsewhere tomorrow.
        return cls(settings.BASE_DIR, str(python.parent.resolve() / python.name))


class Child:
    """A process of the site in a session of its own, which ends when the supervisor does."""

    def __init__(
        self,
        release: Release,
        *arguments: str,
        role: str = "web",
        descriptors: tuple[int, ...] = (),
        stderr: IO[bytes] | None = None,
    ) -> None:
        """Start `arguments` with the release's Python.

        Args:
            release: Where the code is.
            arguments: What Python is to run.
            role: The database role that the process connects as.
            descriptors: Open files that it gets, beside the one that keeps the embedded database.
            stderr: Where its messages go; unset, where the supervisor's go.
        """
        database = postgres.lock_descriptor(settings.DATA_DIR) if settings.LOCAL_MODE else None
        self._said, pipe = os.pipe()
        os.set_blocking(self._said, False)
        self._words = b""
        self.stop_at = float("inf")
        try:
            self._process = subprocess.Popen(
                [release.python, *arguments],
                cwd=release.folder,
                # What stands in a release's .env is read by its own processes, not handed down from an older one's.
                env={
                    **env.GIVEN,
                    "DATA_DIR": str(settings.DATA_DIR),
                    "DATABASE_ROLE": role,
                    PIPE_VARIABLE: str(pipe),
                },
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                # Ctrl-C reaches the whole terminal; only the supervisor answers it.
                start_new_session=True,
                # The database stays for as long as a child lives, even if the supervisor is killed.
                pass_fds=(pipe, *descriptors, *(() if database is None else (database,))),
                preexec_fn=_end_with_parent(),  # noqa: PLW1509 (the supervisor has one thread)
            )
        finally:
            os.close(pipe)

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.poll()

    def is_ready(self) -> bool:
        """Tell whether all that the process is made of have announced themselves."""
        with contextlib.suppress(BlockingIOError):
            self._words += os.read(self._said, 4096)
        return is_ready(self._words)

    def terminate(self) -> None:
        """Ask the process to end, within STOP_SECONDS from now."""
        if self.poll() is None and self.stop_at == float("inf"):
            self.stop_at = time.monotonic() + STOP_SECONDS
            self._process.terminate()

    def has_ended(self) -> bool:
        """Tell whether the process has ended; one that was asked to and is over its time is killed."""
        if self.poll() is None and time.monotonic() > self.stop_at:
            # Its session is its own, so this ends its children with it and nothing else.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self.poll() is None:
            return False
        if self._said >= 0:
            os.close(self._said)
            self._said = -1
        return True


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a new child runs so that Linux ends it when this process is killed."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def request() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return request
