"""Sends the queued mail. Temporary failures are tried again for three days; what then remains is a dead letter."""

import logging
import time
from email.utils import parseaddr
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import InterfaceError, OperationalError, connection, transaction

from carecollective.core.database import ClockTimestamp
from carecollective.core.deadlines import Deadline
from carecollective.core.retention import MAIL_KEPT
from carecollective.mail.failures import Failure, failure_to_compose, failure_to_connect, failure_to_send
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.queue import Letter, NotNow, compose

logger = logging.getLogger(__name__)

ROUND_SECONDS = 30.0
PAUSE_FIRST, PAUSE_LAST = 10, 1800
PAUSE_NOT_NOW = 60
GIVE_UP_AFTER_DAYS = 3
# How many answers of the server one mail waits for, from the greeting to the end: it gets EMAIL_TIMEOUT for each, in all.
ANSWERS_AT_MOST = 12

# Claimed by moving the next try ahead, past the longest that a try can take: if the worker is killed, it is tried then.
_CLAIM = """
UPDATE mail_outgoingmail SET attempts = attempts + 1, last_tried_at = clock_timestamp(),
  first_tried_at = coalesce(first_tried_at, clock_timestamp()),
  next_try_at = clock_timestamp() + make_interval(secs => %s)
WHERE id = (
  SELECT id FROM mail_outgoingmail WHERE state = 'waiting' AND next_try_at <= clock_timestamp()
  ORDER BY next_try_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
_FAILED = """
UPDATE mail_outgoingmail SET error = %(reason)s,
  state = CASE WHEN over.is_over THEN 'dead' ELSE state END,
  settled_at = CASE WHEN over.is_over THEN clock_timestamp() END,
  next_try_at = clock_timestamp() + make_interval(secs => least(%(first)s * 2 ^ least(attempts - 1, 20), %(last)s))
FROM (
  SELECT id AS over_id, %(permanent)s OR first_tried_at <= clock_timestamp() - make_interval(days => %(days)s) AS is_over
  FROM mail_outgoingmail WHERE id = %(id)s) AS over
WHERE id = over.over_id AND state = 'waiting'
"""
_NOT_NOW = """
UPDATE mail_outgoingmail SET attempts = attempts - 1,
  first_tried_at = CASE WHEN attempts > 1 THEN first_tried_at END,
  next_try_at = clock_timestamp() + make_interval(secs => %s)
WHERE id = %s AND state = 'waiting'
"""


def send_waiting() -> int:
    """Send what is due, one mail after the other; return how many went out. For the worker.

    Each is sent first and settled then: a worker killed in between sends it once more, with the same Message-ID.
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
        try:
            letter = _compose(mail)
        except NotNow:
            _execute(_NOT_NOW, [PAUSE_NOT_NOW, mail.pk])
            continue
        except (OperationalError, InterfaceError):
            raise
        except Exception as problem:  # noqa: BLE001 -- tried again: the next release may know how
            _note_failure(mail, _log(mail, failure_to_compose(problem)))
            continue
        if letter is None:
            _settle(mail, MailState.SKIPPED)
            continue
        limit.restart()
        failure = _hand_over(mail, letter, server)
        if failure is None:
            _settle(mail, MailState.SENT, letter)
            sent += 1
            continue
        _note_failure(mail, failure)
        if failure.is_of_server or limit.is_over:
            break
    return sent


def prune_mail() -> int:
    """Delete the rows of mail that is over, sent or not, after 30 days; return how many. For the worker."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM mail_outgoingmail WHERE settled_at < clock_timestamp() - make_interval(secs => %s)",
            [MAIL_KEPT.total_seconds()],
        )
        return int(cursor.rowcount)


def message_id(mail_id: UUID) -> str:
    """Return the Message-ID of a mail, the same at every try."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{mail_id}@{domain or 'localhost'}>"


def _longest_try() -> float:
    """Return how many seconds one mail may take: its connection is cut then, whatever the server still has to say."""
    return float(ANSWERS_AT_MOST * settings.EMAIL_TIMEOUT)


def _claim() -> OutgoingMail | None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [_longest_try() + PAUSE_FIRST])
        row = cursor.fetchone()
    return OutgoingMail.objects.select_related("recipient").get(pk=row[0]) if row else None


def _compose(mail: OutgoingMail) -> Letter | None:
    with transaction.atomic():
        letter = compose(mail)
    # Whoever left, or may no longer sign in, gets no mail at all.
    return letter if mail.recipient.is_active and mail.recipient.email else None


def _hand_over(mail: OutgoingMail, letter: Letter, server: Any) -> Failure | None:
    try:
        server.open()
    except Exception as problem:  # noqa: BLE001 -- whatever it is, the mail waits
        return _log(mail, failure_to_connect(problem))
    try:
        server.send_messages(
            [
                EmailMessage(
                    letter.subject,
                    letter.body,
                    to=[str(mail.recipient.email)],
                    headers={"Message-ID": message_id(mail.pk), "Auto-Submitted": "auto-generated"},
                )
            ]
        )
    except Exception as problem:  # noqa: BLE001 -- one mail that fails keeps nobody else from theirs
        return _log(mail, failure_to_send(problem))
    return None


def _log(mail: OutgoingMail, failure: Failure) -> Failure:
    logger.warning("A mail of the kind %s could not be handed over: %s", mail.kind, failure.reason)
    return failure


def _settle(mail: OutgoingMail, state: MailState, letter: Letter | None = None) -> None:
    now = ClockTimestamp()
    with transaction.atomic():
        OutgoingMail.objects.filter(pk=mail.pk).update(state=state, settled_at=now, error="")
        if state is MailState.SENT:
            # It says what an earlier one of its kind would have said.
            OutgoingMail.objects.filter(recipient=mail.recipient, kind=mail.kind, state=MailState.DEAD).update(
                state=MailState.SKIPPED, settled_at=now
            )
        if letter is not None and letter.after is not None:
            letter.after()


def _note_failure(mail: OutgoingMail, failure: Failure) -> None:
    values = {
        "id": mail.pk,
        "reason": failure.reason,
        "permanent": failure.is_permanent,
        "first": PAUSE_FIRST,
        "last": PAUSE_LAST,
        "days": GIVE_UP_AFTER_DAYS,
    }
    _execute(_FAILED, values)


def _execute(statement: str, values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
