"""One client's connection, and its answer that waits to be sent."""

import errno
import select
import socket
import threading
import time
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import Any

from carecollective.serving.http_reader import RequestReader
from carecollective.web.server_limits import SEND_BYTES_PER_SECOND, SEND_SECONDS

SEND_AT_ONCE = 64 * 1024
# No page of the site is larger. A larger answer makes its thread wait for the client, for a limited time.
LONGEST_UNSENT = 2 * 1024 * 1024


class State(Enum):
    READING = "reading"
    SERVING = "serving"
    SENDING = "sending"
    LINGERING = "lingering"


class ResponseBuffer:
    """Replaces the socket for gunicorn: it keeps what the client does not read at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.unsent = bytearray()

    def sendall(self, data: bytes) -> None:
        """Add to the answer. Raises OSError when the client has gone or reads too slowly."""
        self.unsent += data
        if len(self.unsent) > SEND_AT_ONCE:
            self.flush()
        if len(self.unsent) > LONGEST_UNSENT:
            self._wait_until_less()

    send = sendall

    def flush(self) -> bool:
        """Send what the client takes now; return whether that was all. Raises OSError when it has gone."""
        while self.unsent:
            try:
                sent = self._socket.send(memoryview(bytes(self.unsent[:SEND_AT_ONCE])))
            except BlockingIOError:
                return False
            del self.unsent[:sent]
        return True

    def shutdown(self, how: int) -> None:
        """Raise OSError, which stops gunicorn here: the worker closes the socket once the answer is sent."""
        raise OSError(errno.ENOTCONN, "closed by the worker")

    def close(self) -> None:
        """Do nothing: the worker closes the socket."""

    def _wait_until_less(self) -> None:
        deadline = time.monotonic() + seconds_to_send(len(self.unsent))
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        while len(self.unsent) > LONGEST_UNSENT // 2:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(errno.EPIPE, "the client reads too slowly")
            writable.poll(remaining * 1000)
            self.flush()


class Connection:
    """A client's connection. gunicorn reads `sock`, `client` and `server`."""

    def __init__(self, config: Any, sock: socket.socket, client: Any, server: Any) -> None:
        self.socket, self.client, self.server = sock, client, server
        self.sock = ResponseBuffer(sock)
        self.reader = RequestReader(config, client)
        self.state = State.READING
        self.request: Any = None
        self.stays_open = False
        # When the state began and when it must end, on the monotonic clock.
        self.since = self.deadline = time.monotonic()
        self.is_timed_as_body = False
        # The events that the poller waits for; 0 while it does not know the connection. With the lock, the main loop and the
        # thread that serves agree on who goes on with it.
        self.polled = 0
        self.lock = threading.Lock()

    @property
    def caller(self) -> str:
        """The client's address; for IPv6 its /64."""
        address = self.client[0] if isinstance(self.client, tuple) else ""
        if ":" not in address:
            return address
        return str(ip_network((ip_address(address.partition("%")[0]), 64), strict=False))

    @property
    def buffered(self) -> int:
        """The number of bytes in memory for this client."""
        return len(self.reader.buffer) + len(self.sock.unsent)

    def enter(self, state: State, seconds: float) -> None:
        """Begin a state that lasts at most `seconds`."""
        self.since = time.monotonic()
        self.deadline = self.since + seconds
        # Last: the main loop may look at any moment.
        self.state = state


def seconds_to_send(size: int) -> float:
    """Return how long a client may take to read an answer of `size` bytes."""
    return SEND_SECONDS + size / SEND_BYTES_PER_SECOND
