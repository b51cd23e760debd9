"""How a process of the site tells the supervisor that it works: one line in a pipe that it was started with.

Nothing of Django is imported here: gunicorn's worker announces before and without it.
"""

import contextlib
import os

PIPE_VARIABLE = "SITE_READY_PIPE"


def announce_ready(*, of: int = 1) -> None:
    """Say that this process is ready. Does nothing where nobody started it to hear that.

    Args:
        of: How many processes write into the pipe: the supervisor waits for that many.
    """
    descriptor = os.environ.get(PIPE_VARIABLE, "")
    if descriptor.isdecimal():
        # One that is started later, in another's place, finds that nobody listens any more.
        with contextlib.suppress(OSError):
            os.write(int(descriptor), f"{of}\n".encode())


def is_ready(said: bytes) -> bool:
    """Tell whether all processes that were to announce themselves in this text have done so."""
    lines = said.split()
    return bool(lines) and len(lines) >= int(lines[0])
