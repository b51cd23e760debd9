"""When there are too many clients, the one that takes most is closed."""

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from carecollective.web.server_limits import BODY_BYTES
from tests.sites import free_port
from tests.waiting import wait_for


@dataclass
class Server:
    port: int
    pid: int

    def connect(self, *, address: str = "127.0.0.1", sent: bytes = b"GET /0 HTTP/1.1\r\nHost: ") -> socket.socket:
        """Connect from an address of this machine, and send an incomplete request."""
        wire = socket.socket()
        wire.settimeout(20)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.bind((address, 0))
        wire.connect(("127.0.0.1", self.port))
        wire.sendall(sent)
        return wire

    def get(self, size: int, *, address: str = "127.0.0.1") -> int:
        """Ask for an answer of `size` bytes, and return how many came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(address, 0))
        connection.request("GET", f"/{size}")
        came = len(connection.getresponse().read())
        connection.close()
        return came

    def is_up(self) -> bool:
        try:
            return self.get(1) == 1
        except OSError:
            return False

    def workers_memory(self) -> int:
        """Return the memory of the worker in megabytes."""
        worker = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0]
        lines = Path(f"/proc/{worker}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) // 1024


@contextmanager
def serving(*, room: int) -> Iterator[Server]:
    """A server with one worker and a limit of connections."""
    port = free_port()
    options = ["-k", "carecollective.serving.gunicorn_worker.BufferingWorker", "--workers", "1", "--threads", "4"]
    limits = ["--worker-connections", str(room), "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen([sys.executable, "-m", "gunicorn", *options, *limits, "tests.serving.tiny_site"])
    served = Server(port, process.pid)
    try:
        wait_for(served.is_up, seconds=60)
        yield served
    finally:
        process.terminate()
        process.wait(30)


def is_closed(wire: socket.socket) -> bool:
    wire.setblocking(False)
    try:
        return wire.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_the_address_with_most_connections_loses_the_oldest() -> None:
    with serving(room=100) as server, ExitStack() as open_wires:
        patient = [open_wires.enter_context(server.connect(address="127.0.0.2")) for _number in range(3)]
        greedy = [open_wires.enter_context(server.connect()) for _number in range(120)]
        assert server.get(10, address="127.0.0.2") == 10
        assert server.get(10) == 10
        assert not any(is_closed(wire) for wire in patient)
        closed = [is_closed(wire) for wire in greedy]
        assert 20 <= sum(closed) <= 30
        assert all(closed[:20])
        # An answer that is larger than the buffer of one client arrives complete.
        assert server.get(20_000_000, address="127.0.0.2") == 20_000_000


def test_bodies_that_do_not_end_do_not_fill_the_memory() -> None:
    begun = b"POST /0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES
    with serving(room=700) as server, ExitStack() as open_wires:
        before = server.workers_memory()
        for _number in range(500):
            wire = open_wires.enter_context(server.connect(sent=begun))
            with suppress(OSError):
                wire.sendall(b"a" * (BODY_BYTES - 1))
        assert server.get(10, address="127.0.0.2") == 10
        assert server.workers_memory() - before < 100, "125 MB were sent, and 64 MB may be kept"
