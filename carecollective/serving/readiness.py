"""How a process tells the supervisor that it is ready, by one line in a pipe, and how it is told to stop.

This module does not import Django: gunicorn's worker uses it without.
"""

import contextlib
import os
import signal
from collections.abc import Callable

PIPE_VARIABLE = "SITE_READY_PIPE"


def announce_ready(*, of: int = 1) -> None:
    """Say that this process is ready. Does nothing without a supervisor.

    Args:
        of: How many processes write into the pipe. The supervisor waits for all of them.
    """
    descriptor = os.environ.get(PIPE_VARIABLE, "")
    if descriptor.isdecimal():
        # A worker that gunicorn starts later finds the pipe closed.
        with contextlib.suppress(OSError):
            os.write(int(descriptor), f"{of}\n".encode())


def stop_on_signal(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM and Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())


def is_ready(said: bytes) -> bool:
    """Whether all processes that write into the pipe have done so."""
    lines = said.split()
    return bool(lines) and len(lines) >= int(lines[0])
