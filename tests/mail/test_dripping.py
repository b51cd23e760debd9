"""A mail server that sends a byte now and then stays within each time-out, and yet cannot hold a mail for ever."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from carecollective.mail import delivery
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import MailState, OutgoingMail
from tests.dripping import dripping

OK = b"250 OK\r\n"
# The greeting, and the answers to EHLO, MAIL, RCPT, DATA, the mail itself and QUIT.
ANSWERS = (b"220 hello\r\n", OK, OK, OK, b"354 go\r\n", OK)


@pytest.mark.parametrize(("answered", "drip"), [(0, b"2"), (1, b"250-x\r\n"), (4, b"354-x\r\n"), (5, b"x")])
def test_a_try_ends_after_the_time_of_all_its_answers(
    queued: Callable[..., Any],
    use_server: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    answered: int,
    drip: bytes,
) -> None:
    monkeypatch.setattr(delivery, "ANSWERS_AT_MOST", 2)
    queued("ada@example.org", "ben@example.org")
    with dripping(*ANSWERS[:answered], drip=drip) as port:
        use_server(f"smtp://127.0.0.1:{port}")
        began = time.monotonic()
        assert send_waiting() == 0
        assert time.monotonic() - began < 4
    assert set(OutgoingMail.objects.values_list("state", flat=True)) == {MailState.WAITING}
    # The round ends with it: the other was not tried.
    assert OutgoingMail.objects.exclude(error="").count() == 1


def test_a_server_that_drips_its_goodbye_holds_nothing(
    queued: Callable[..., Any], use_server: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ANSWERS_AT_MOST", 2)
    queued("ada@example.org")
    with dripping(*ANSWERS, drip=b"221-x\r\n") as port:
        use_server(f"smtp://127.0.0.1:{port}")
        began = time.monotonic()
        assert send_waiting() == 1
        assert time.monotonic() - began < 4
    assert OutgoingMail.objects.get().state == MailState.SENT
