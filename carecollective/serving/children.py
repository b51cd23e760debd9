"""The processes of a site. Each runs the code of one release, and says when it is ready."""

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

from carecollective import env
from carecollective.postgres.embedded.server import lock_descriptor
from carecollective.serving.readiness import PIPE_VARIABLE, is_ready

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Release:
    """The folder of a site's code, and the Python that runs it."""

    folder: Path
    python: str

    @classmethod
    def own(cls) -> "Release":
        """Return the release of this process."""
        python = Path(sys.executable)
        # The real path, as in BASE_DIR: a link to the newest release may change later.
        return cls(settings.BASE_DIR, str(python.parent.resolve() / python.name))


class Child:
    """A process of the site, in its own session. It ends when the supervisor does."""

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
            release: The code to run.
            arguments: The arguments of Python.
            role: The database role of the process.
            descriptors: Open files to pass on, beside the lock of the embedded database.
            stderr: Where its messages go; without it, where the supervisor's go.
        """
        database = lock_descriptor(settings.DATA_DIR) if settings.LOCAL_MODE else None
        self._ready_pipe, pipe = os.pipe()
        os.set_blocking(self._ready_pipe, False)
        self._ready_text = b""
        self.stop_at = float("inf")
        self.started_at = time.monotonic()
        # When another is started in its place; None while it runs.
        self.restart_at: float | None = None
        try:
            self._process = subprocess.Popen(
                [release.python, *arguments],
                cwd=release.folder,
                # Each release reads its own .env: it must not inherit the values of an older one.
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
                # The embedded database runs as long as one child lives, even if the supervisor is killed.
                pass_fds=(pipe, *descriptors, *(() if database is None else (database,))),
                preexec_fn=_end_with_parent(),  # noqa: PLW1509 (the supervisor has one thread)
            )
        finally:
            os.close(pipe)

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.poll()

    def is_ready(self) -> bool:
        """Whether the process and all its workers are ready."""
        with contextlib.suppress(BlockingIOError):
            self._ready_text += os.read(self._ready_pipe, 4096)
        return is_ready(self._ready_text)

    def terminate(self) -> None:
        """Ask the process to end within STOP_SECONDS."""
        if self.poll() is None and self.stop_at == float("inf"):
            self.stop_at = time.monotonic() + STOP_SECONDS
            self._process.terminate()

    def has_ended(self) -> bool:
        """Return whether the process has ended. Kill it when it was asked to end and its time is over."""
        if self.poll() is None and time.monotonic() > self.stop_at:
            # The process group is its own: this kills its children too, and nothing else.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self.poll() is None:
            return False
        if self._ready_pipe >= 0:
            os.close(self._ready_pipe)
            self._ready_pipe = -1
        return True


def _end_with_parent() -> Callable[[], None] | None:
    """Return a function for the new child: with it, Linux ends the child when this process is killed."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def request() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return request
