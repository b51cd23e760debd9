"""A server that says a byte now and then and never comes to an end."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

# Longer than any test waits, and not for ever: a test that fails should end, too.
DRIPS_FOR_SECONDS = 20.0


@contextmanager
def dripping(*answers: bytes, drip: bytes) -> Iterator[int]:
    """Give each of these answers to what is said, the first unasked; then send `drip` ten times a second. Yield the port."""
    over = threading.Event()

    def serve(line: socket.socket) -> None:
        with line, suppress(OSError):
            _answer(line, answers)
            ends_at = time.monotonic() + DRIPS_FOR_SECONDS
            while not over.wait(0.1) and time.monotonic() < ends_at:
                line.sendall(drip)

    def accept() -> None:
        with suppress(OSError):
            while not over.is_set():
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _answer(line: socket.socket, answers: Sequence[bytes]) -> None:
    heard = line.makefile("rb")
    for place, answer in enumerate(answers):
        if place:
            said = heard.readline()
            # A mail's own lines, to the end of it.
            while answers[place - 1].startswith(b"354") and said != b".\r\n":
                said = heard.readline()
        line.sendall(answer)
