"""Clients that hold a server's connections open for as long as it lets them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HALF_A_HEAD = b"GET /requests HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
HALF_A_BODY = b"POST /api/auth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"
HALF_A_CHUNK = (
    b"POST /api/auth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1388\r\n{"
)
# Asks for a large answer and reads none of it.
UNREAD_ANSWER = (
    b"GET /static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
)
WAYS = (HALF_A_HEAD, HALF_A_BODY, HALF_A_CHUNK, UNREAD_ANSWER, b"")


@contextmanager
def slow_clients(place: tuple[str, int], *, count: int) -> Iterator[None]:
    """Run `count` clients that send a byte a second each, and connect again when the server closes."""
    over = threading.Event()
    all_connected = threading.Event()

    def connect(number: int) -> tuple[socket.socket, bytes]:
        begin = WAYS[number % len(WAYS)]
        sock = socket.socket()
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(place)
        sock.sendall(begin)
        sock.setblocking(False)
        return sock, begin

    def run() -> None:
        clients = {number: connect(number) for number in range(count)}
        all_connected.set()
        while not over.wait(1):
            for number, (sock, begin) in clients.items():
                try:
                    if begin not in (UNREAD_ANSWER, b""):
                        sock.send(b"a")
                        if sock.recv(4096, socket.MSG_PEEK):
                            raise ConnectionResetError
                except BlockingIOError:
                    pass
                except OSError:
                    sock.close()
                    clients[number] = connect(number)
        for sock, _begin in clients.values():
            sock.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert all_connected.wait(60), "not every slow client could connect"
    try:
        yield
    finally:
        over.set()
        thread.join(30)
