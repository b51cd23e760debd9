"""A network between the site and its database that can stop forwarding, without closing or refusing anything."""

import contextlib
import selectors
import socket
import threading
from pathlib import Path


class Proxy:
    """Forwards a TCP port of this machine to a server's socket file."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[socket.socket, socket.socket | None] = {}
        self._silent = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go_silent(self) -> None:
        """Take connections and whatever they send from now on, and forward none of it in either direction."""
        self._silent.set()

    def recover(self) -> None:
        """Forward what comes from now on; what was open while nothing was forwarded stays silent for ever."""
        for one in list(self._peers):
            self._peers[one] = None
        self._silent.clear()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(5)
        for one in [self._listener, *self._peers]:
            one.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _events in self._selector.select(timeout=0.1):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        self._add(client, None)
        if not self._silent.is_set():
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._target))
            self._add(server, client)
            self._peers[client] = server

    def _add(self, one: socket.socket, peer: socket.socket | None) -> None:
        self._peers[one] = peer
        self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, one: socket.socket) -> None:
        try:
            content = one.recv(65536)
        except OSError:
            content = b""
        peer = self._peers.get(one)
        if content:
            if peer is not None and not self._silent.is_set():
                with contextlib.suppress(OSError):
                    peer.sendall(content)
            return
        self._selector.unregister(one)
        self._peers.pop(one, None)
        one.close()
        if peer is not None and not self._silent.is_set():
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_WR)
