"""A time limit for a whole exchange with a server. A socket's own timeout restarts with each byte."""

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
    """A block in which every connection that this thread makes is cut after `seconds`.

    The library that made it then reads the end of the connection. A further connection raises TimeoutError.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_over = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer: threading.Timer | None = None
        self._token: Token[Deadline | None] | None = None

    def __enter__(self) -> "Deadline":
        _install_hook()
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
            for opened in self._sockets:
                opened.close()
            self._sockets.clear()

    def restart(self) -> None:
        """Restart the time, as for the next exchange on the same connection."""
        with self._lock:
            self._stop()
            self._timer = threading.Timer(self.seconds, self._cut)
            self._timer.daemon = True
            self._timer.start()

    def watch(self, opened: socket.socket) -> None:
        """Cut this connection, too, when the time is over. Raises TimeoutError if it is already."""
        with self._lock:
            if self.is_over:
                raise TimeoutError("The time for this is over.")
            # Our own descriptor: the library's may be closed, and its number reused.
            self._sockets.append(socket.socket(fileno=os.dup(opened.fileno())))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            for opened in self._sockets:
                with suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@functools.cache
def _install_hook() -> None:
    """Let Python report each new connection: the HTTP and SMTP libraries do not expose their sockets in time."""
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and (deadline := _current.get()) is not None:
        deadline.watch(arguments[0])
