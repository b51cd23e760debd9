"""Real SMTP servers on this machine: one that fails on request, and one that accepts and never answers."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

OK = "250 OK"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MailServer:
    """Keeps the mail it took. `answer_rcpt` and `answer_data` choose its answers; `cut_after_data` hangs up instead."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.messages: list[Message] = []
        self.tries: list[str] = []
        self.answer_rcpt: Callable[[str], str] = lambda address: OK
        self.answer_data: Callable[[str], str] = lambda address: OK
        self.cut_after_data = 0
        self.on_data: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def addresses(self) -> list[str]:
        return [str(message["To"]) for message in self.messages]

    @property
    def message_ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.messages]

    # What aiosmtpd asks of a handler.

    async def handle_RCPT(  # noqa: N802 -- named by aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.tries.append(address)
        answer = self.answer_rcpt(address)
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.answer_data(envelope.rcpt_tos[0])
        if answer == OK:
            assert isinstance(envelope.content, bytes)
            self.messages.append(message_from_bytes(envelope.content))
            await asyncio.to_thread(self.on_data)
        if self.cut_after_data:
            self.cut_after_data -= 1
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return answer


@contextmanager
def serving(server: MailServer) -> Iterator[MailServer]:
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@contextmanager
def hanging() -> Iterator[str]:
    """Accept every connection and never answer; yield the address."""
    connections: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connections.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in connections:
        connection.close()
