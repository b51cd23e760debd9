from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from carecollective.mail import queue
from carecollective.mail.letters import Letter
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.queue import queue_mail
from tests.mail.smtp_server import MailServer, serving

KIND = "test"


@pytest.fixture(autouse=True)
def kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a kind of mail for these tests."""
    monkeypatch.setattr(queue, "_kinds", dict(queue._kinds))
    queue.register(KIND, title="A test", compose=lambda member_id: Letter("Hello", [f"For {member_id}, Zoë's"]))


@pytest.fixture
def use_server(settings: Any) -> Callable[[str], None]:
    """Send by SMTP to this address, and wait a second for each answer."""

    def use(url: str) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", urlsplit(url).port
        settings.EMAIL_TIMEOUT = 1

    return use


@pytest.fixture
def server(use_server: Callable[[str], None], settings: Any) -> Iterator[MailServer]:
    with serving(MailServer()) as one:
        use_server(one.url)
        settings.EMAIL_TIMEOUT = 10  # it answers at once, and on a busy machine a little later
        yield one


@pytest.fixture
def queued(db: None, member: Callable[..., User]) -> Callable[..., list[User]]:
    """Queue a mail for each of these addresses, in this order; return the members: `queued("ada@example.org")`."""

    def make(*addresses: str) -> list[User]:
        people = []
        for address in addresses:
            people.append(member(email=address))
            queue_mail(KIND, people[-1].pk)
        return people

    return make


@pytest.fixture
def make_due(db: None) -> Callable[[], None]:
    """End the pause before the next try."""

    def pass_time() -> None:
        OutgoingMail.objects.filter(state=MailState.WAITING).update(next_try_at=ClockTimestamp())

    return pass_time
