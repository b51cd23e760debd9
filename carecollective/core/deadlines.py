"""A limit on all that is said to another server: a socket's own time-out begins anew with each byte that it sends."""

import functools
import os
import socket
import sys
import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any


class Deadline:
    """A block in which every connection that this thread makes is cut once `seconds` are over.

    Whichever library made it then reads the end of the connection. It makes no further one: that raises TimeoutError.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_over = False
        self._lock = threading.Lock()
        self._lines: list[socket.socket] = []
        self._timer: threading.Timer | None = None
        self._token: Token[Deadline | None] | None = None

    def __enter__(self) -> "Deadline":
        _hear_of_connections()
        self._token = _current.set(self)
        self.restart()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        with self._lock:
            self._stop()
            for line in self._lines:
                line.close()
            self._lines.clear()

    def restart(self) -> None:
        """Give the whole time anew, as for the next thing that is said on the same connection."""
        with self._lock:
            self._stop()
            self._timer = threading.Timer(self.seconds, self._cut)
            self._timer.daemon = True
            self._timer.start()

    def watch(self, line: socket.socket) -> None:
        """Cut this connection, too, when the time is over. Raises TimeoutError if it is."""
        with self._lock:
            if self.is_over:
                raise TimeoutError("The time for this is over.")
            # A descriptor of our own: the other may be closed and its number given to another file meanwhile.
            self._lines.append(socket.socket(fileno=os.dup(line.fileno())))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            for line in self._lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@functools.cache
def _hear_of_connections() -> None:
    """Have Python tell of each connection that is made. Neither its HTTP nor its SMTP offers a way to its socket in time."""
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and (deadline := _current.get()) is not None:
        deadline.watch(arguments[0])
