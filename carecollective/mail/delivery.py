"""Send the queued mail. A temporary failure is tried again for three days; then the mail is a dead letter."""

import logging
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import get_connection
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from carecollective.core.database import ClockTimestamp
from carecollective.core.deadlines import Deadline
from carecollective.core.retention import MAIL_KEPT
from carecollective.mail.failures import NotSent, failure_to_compose, failure_to_connect, failure_to_send
from carecollective.mail.letters import Letter, render_letter
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.queue import NotNow, compose, goes_to, kind_topic
from carecollective.serving.jobs import claim, pause_after

logger = logging.getLogger(__name__)

ROUND_SECONDS = 30.0
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=30)
PAUSE_NOT_NOW = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(days=3)
# A mail waits for no more answers of the server than this, from the greeting to the end, each within EMAIL_TIMEOUT.
ANSWERS_AT_MOST = 12


def send_waiting() -> int:
    """Send what is due, one mail after the other; return how many were sent. For the worker.

    A mail is sent first and settled then. A worker killed in between sends it once more, with the same Message-ID.
    """
    with Deadline(_longest_try()) as limit:
        server = get_connection()
        try:
            return _send_through(server, limit)
        finally:
            limit.restart()
            server.close()


def _send_through(server: Any, limit: Deadline) -> int:
    sent = 0
    ends_at = time.monotonic() + ROUND_SECONDS
    while time.monotonic() < ends_at and (mail := _claim()) is not None:
        limit.restart()
        try:
            letter = _compose(mail)
            if letter is not None:
                _hand_over(mail, letter, server)
                sent += 1
            _settle(mail, letter)
        except NotNow:
            _postpone(mail)
        except NotSent as failure:
            _note_failure(mail, failure)
            if failure.ends_round or limit.is_over:
                break
    return sent


def prune_mail() -> int:
    """Delete the rows of mail settled over 30 days ago; return how many. For the worker."""
    return OutgoingMail.objects.filter(settled_at__lt=ClockTimestamp() - MAIL_KEPT).delete()[0]


def _longest_try() -> float:
    """Return after how many seconds the connection of a try is cut."""
    return float(ANSWERS_AT_MOST * settings.EMAIL_TIMEOUT)


def _claim() -> OutgoingMail | None:
    now = ClockTimestamp()
    mails = claim(
        OutgoingMail.objects.filter(state=MailState.WAITING).select_related("recipient"),
        lease=timedelta(seconds=_longest_try()) + FIRST_PAUSE,
        last_tried_at=now,
        first_tried_at=Coalesce("first_tried_at", now),
    )
    return mails[0] if mails else None


def _compose(mail: OutgoingMail) -> Letter | None:
    """Write the mail. None when it is not needed any more, or its recipient has left or may not sign in."""
    try:
        with transaction.atomic():
            letter = compose(mail)
    except (NotNow, OperationalError, InterfaceError):
        raise
    except Exception as problem:  # noqa: BLE001 -- tried again: the next release may have it right
        raise failure_to_compose(problem) from None
    return letter if goes_to(mail) and mail.recipient.email else None


def _hand_over(mail: OutgoingMail, letter: Letter, server: Any) -> None:
    message = render_letter(
        letter,
        mail_id=mail.pk,
        to=mail.address or str(mail.recipient.email),
        recipient_id=mail.recipient_id,
        topic=kind_topic(mail.kind),
    )
    try:
        server.open()
    except Exception as problem:  # noqa: BLE001 -- whatever it is, the mail waits
        raise failure_to_connect(problem) from None
    try:
        server.send_messages([message])
    except Exception as problem:  # noqa: BLE001 -- one mail that fails must not stop the others
        raise failure_to_send(problem) from None


def _waiting(mail: OutgoingMail) -> "QuerySet[OutgoingMail]":
    """Select the row, unless it was settled during the try: by a cancellation, for example."""
    return OutgoingMail.objects.filter(pk=mail.pk, state=MailState.WAITING)


def _settle(mail: OutgoingMail, letter: Letter | None) -> None:
    """Record that a mail was sent, or skipped when there is no letter."""
    now = ClockTimestamp()
    state = MailState.SKIPPED if letter is None else MailState.SENT
    with transaction.atomic():
        OutgoingMail.objects.filter(pk=mail.pk).update(state=state, settled_at=now, error="")
        if letter is None:
            return
        # It says what an earlier one of its kind about the same would have said.
        dead = OutgoingMail.objects.filter(
            recipient=mail.recipient, kind=mail.kind, reference=mail.reference, state=MailState.DEAD
        )
        dead.update(state=MailState.SKIPPED, settled_at=now)
        if letter.after is not None:
            letter.after()


def _postpone(mail: OutgoingMail) -> None:
    """Put a mail off without counting a try."""
    _waiting(mail).update(
        attempts=mail.attempts, first_tried_at=mail.first_tried_at, next_try_at=ClockTimestamp() + PAUSE_NOT_NOW
    )


def _note_failure(mail: OutgoingMail, failure: NotSent) -> None:
    logger.warning("A mail of the kind %s could not be handed over: %s", mail.kind, failure)
    waiting, now = _waiting(mail), ClockTimestamp()
    if failure.is_permanent or waiting.filter(first_tried_at__lte=now - GIVE_UP_AFTER).exists():
        waiting.update(error=str(failure), state=MailState.DEAD, settled_at=now)
        return
    pause = pause_after(mail.attempts + 1, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
    waiting.update(error=str(failure), next_try_at=now + pause)
