"""A site that sends its mail to a real mail server, and the letters as their readers find them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage, Message
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from carecollective.inbox.replies.services import Received, receive_mail
from tests.mail.smtp_server import MailServer, serving

TASKS = (
    "carecollective.takeover.services.expire_requests",
    "carecollective.inbox.notifications.",
    "carecollective.accounts.letters.",
    "carecollective.moderation.",
    "carecollective.mail.delivery.send_waiting",
)


@dataclass(frozen=True)
class Letter:
    """A mail as its reader finds it."""

    message: Message

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        plain = self.message.get_payload(0).get_payload(decode=True).decode()  # type: ignore[union-attr]
        return str(plain).replace("\r\n", "\n")

    @property
    def link(self) -> str:
        """Where its button leads."""
        return str(re.findall(r":\n(http\S+)", self.text)[0])

    @property
    def code(self) -> str:
        return str(re.findall(r"\b[A-Z]{4}-[A-Z]{4}\b", self.text)[0])

    def reply(self, words: str) -> Received:
        """Answer it as a mail program does, by the mail server's pipe."""
        answer = EmailMessage()
        answer["From"], answer["To"] = self.message["To"], "".join(self.message["Reply-To"].split())
        answer["Subject"], answer["In-Reply-To"] = f"Re: {self.subject}", self.message["Message-ID"]
        answer["Message-ID"] = f"<{uuid4()}@mail.example>"
        quoted = "\n".join(f"> {line}" for line in self.text.splitlines())
        answer.set_content(f"{words}\n\nOn Mon, 23 Nov 2026 at 10:00, {self.message['From']} wrote:\n\n{quoted}\n")
        return receive_mail(answer.as_bytes())


class Post:
    """What the worker sends, by a real mail server."""

    def __init__(self, server: MailServer) -> None:
        self.server = server

    def deliver(self) -> None:
        """Do once what the worker does every few seconds."""
        for path, _seconds in django_settings.WORKER_TASKS:
            if path.startswith(TASKS):
                import_string(path)()

    def letters_to(self, address: str) -> list[Letter]:
        """Deliver what waits; return the letters to this address that nobody has taken yet."""
        self.deliver()
        mine = [message for message in self.server.messages if message["To"] == address]
        self.server.messages = [message for message in self.server.messages if message not in mine]
        return [Letter(message) for message in mine]

    def letter_to(self, address: str) -> Letter:
        (letter,) = self.letters_to(address)
        return letter


@pytest.fixture(scope="module")
def gunicorn_address(sends_mail: None, gunicorn_address: str) -> str:
    return gunicorn_address


@pytest.fixture(scope="module")
def sends_mail() -> Iterator[None]:
    """Let the site know of a mail server: then an applicant's address must be confirmed. This process sends."""
    os.environ["TEST_EMAIL_URL"] = "smtp://127.0.0.1:1"
    yield
    del os.environ["TEST_EMAIL_URL"]


@pytest.fixture
def post(site: str, settings: Any) -> Iterator[Post]:
    settings.SENDS_MAIL = True
    settings.SITE_ADDRESS = site
    settings.REPLY_DOMAIN = "reply.care.example"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.MAIL_DELAY_SECONDS = 0
    with serving(MailServer()) as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield Post(server)
