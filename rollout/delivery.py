"""Carries alerts to people: Slack, e-mail, Sentry and a web address of the operator's, each where it is configured.

The worker does this; the guard never waits for it. Each alert is told once when it opens and once when it is over, over
each channel, and tried again until it arrives. What is told are the guard's words and figures, which hold nothing that a
member wrote.
"""

import http.client
import json
import logging
import smtplib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import connection, transaction

from rollout.alert_log import Delivery, Occasion
from rollout.alerts import AlertRecord, record_of

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
AT_ONCE = 20
PAUSE_FIRST, PAUSE_LAST = 5, 900
GIVE_UP_AFTER_HOURS = 24
# The guard marks an alert that turned V2 off a moment after it opened it; the message shall say so.
SETTLING_SECONDS = 2
WORTH_TELLING_HOURS = 24

_QUEUE_OPENED = """
INSERT INTO rollout_delivery (alert_id, channel, what, attempts, error)
SELECT a.id, wanted.channel, 'opened', 0, '' FROM rollout_alert a, unnest(%s::text[]) AS wanted (channel)
WHERE (a.resolved_at IS NULL OR a.resolved_at > clock_timestamp() - make_interval(hours => %s))
  AND (a.disabled_v2 OR a.opened_at < clock_timestamp() - make_interval(secs => %s))
ON CONFLICT (alert_id, channel, what) DO NOTHING
"""
# Who was not told of the beginning is not told of the end.
_QUEUE_RESOLVED = """
INSERT INTO rollout_delivery (alert_id, channel, what, attempts, error)
SELECT a.id, told.channel, 'resolved', 0, '' FROM rollout_alert a
JOIN rollout_delivery told ON told.alert_id = a.id AND told.what = 'opened' AND told.delivered_at IS NOT NULL
WHERE a.resolved_at IS NOT NULL AND told.channel = ANY (%s)
ON CONFLICT (alert_id, channel, what) DO NOTHING
"""
# Claimed by moving the next try ahead, so that a worker that ends half-way leaves it to the next.
_CLAIM = """
UPDATE rollout_delivery SET attempts = attempts + 1,
  next_try_at = clock_timestamp() + make_interval(secs => least(%(first)s * 2 ^ least(attempts, 20), %(last)s))
WHERE id IN (
  SELECT id FROM rollout_delivery
  WHERE delivered_at IS NULL AND next_try_at <= clock_timestamp() AND channel = ANY (%(channels)s)
  ORDER BY next_try_at, id LIMIT %(at_once)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""
_FAILED = """
UPDATE rollout_delivery d SET error = %s, next_try_at = CASE
  WHEN greatest(a.opened_at, coalesce(a.resolved_at, a.opened_at)) > clock_timestamp() - make_interval(hours => %s)
  THEN next_try_at END
FROM rollout_alert a WHERE a.id = d.alert_id AND d.id = %s
"""


class NotDelivered(Exception):
    """Why a channel did not take a message, in words without addresses or secrets."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One message about one alert."""

    alert: AlertRecord
    what: str

    @property
    def is_over(self) -> bool:
        return self.what == Occasion.RESOLVED

    @property
    def subject(self) -> str:
        occasion = "Resolved" if self.is_over else self.alert.severity.capitalize()
        return f"[Care Collective] {occasion}: {self.alert.title}"

    @property
    def text(self) -> str:
        alert = self.alert
        if self.is_over:
            lasted = round((alert.resolved_at - alert.opened_at).total_seconds()) if alert.resolved_at else 0
            v2 = " V2 stays off until somebody turns it on again." if alert.disabled_v2 else ""
            return f"Resolved after {_duration(lasted)}: {alert.title}. It began with: {alert.words}{v2}"
        v2 = f" V2 was turned off (it was at {alert.stage}); offers go on in V1." if alert.disabled_v2 else ""
        return f"{alert.severity.capitalize()}: {alert.title}. {alert.words}{v2} {alert.action}"

    @property
    def facts(self) -> dict[str, Any]:
        alert = self.alert
        return {
            "event": f"alert.{self.what}",
            "id": alert.id,
            "kind": alert.kind,
            "severity": alert.severity,
            "title": alert.title,
            "words": alert.words,
            "figures": dict(alert.figures),
            "stage": alert.stage,
            "disabled_v2": alert.disabled_v2,
            "opened_at": alert.opened_at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
            "text": self.text,
        }


Channel = Callable[[Telling], None]


def channels() -> Mapping[str, Channel]:
    """Return the channels that the environment configures, by name."""
    known: dict[str, tuple[Any, Channel]] = {
        "slack": (settings.SLACK_WEBHOOK_URL, _tell_slack),
        "email": (settings.ALERT_EMAILS, _tell_by_email),
        "sentry": (settings.SENTRY_DSN, _tell_sentry),
        "webhook": (settings.ALERT_WEBHOOK_URL, _tell_webhook),
    }
    return {name: channel for name, (configured, channel) in known.items() if configured}


def deliver_waiting() -> int:
    """Send what is due, all at once and within five seconds; return how much arrived. For the worker."""
    configured = channels()
    if not configured:
        return 0
    queue(list(configured))
    due = _claim(list(configured))
    attempts = [_Attempt(one, configured[one.channel]) for one in due]
    deadline = time.monotonic() + TIMEOUT_SECONDS
    arrived = 0
    for attempt in attempts:
        error = attempt.wait(deadline)
        if error is None:
            _mark_delivered(attempt.delivery)
            arrived += 1
        else:
            logger.warning("An alert could not be delivered by %s (%s).", attempt.delivery.channel, error)
            _mark_failed(attempt.delivery, error)
    return arrived


def queue(names: list[str]) -> None:
    """Note what is to be told, once for each alert, channel and occasion."""
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE_OPENED, [names, WORTH_TELLING_HOURS, SETTLING_SECONDS])
        cursor.execute(_QUEUE_RESOLVED, [names])


class _Attempt(threading.Thread):
    """One message on its way. A daemon: a server that never answers holds up nobody for longer than the deadline."""

    def __init__(self, delivery: Delivery, channel: Channel) -> None:
        super().__init__(name=f"delivery-{delivery.channel}", daemon=True)
        self.delivery = delivery
        self._channel = channel
        self._telling = Telling(record_of(delivery.alert), delivery.what)
        self._error: str | None = f"no answer within {TIMEOUT_SECONDS:.0f} s"
        self.start()

    def run(self) -> None:
        try:
            self._channel(self._telling)
            self._error = None
        except NotDelivered as refusal:
            self._error = str(refusal)
        except Exception as problem:  # noqa: BLE001 - a channel's bug is that channel's alone
            self._error = type(problem).__name__

    def wait(self, deadline: float) -> str | None:
        """Return why it did not arrive; None when it did."""
        self.join(max(0.0, deadline - time.monotonic()))
        return self._error


def _claim(names: list[str]) -> list[Delivery]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"first": PAUSE_FIRST, "last": PAUSE_LAST, "channels": names, "at_once": AT_ONCE})
        ids = [row[0] for row in cursor.fetchall()]
    return list(Delivery.objects.filter(pk__in=ids).select_related("alert").order_by("pk"))


def _mark_delivered(delivery: Delivery) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rollout_delivery SET delivered_at = clock_timestamp(), next_try_at = NULL, error = '' WHERE id = %s",
            [delivery.pk],
        )


def _mark_failed(delivery: Delivery, error: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, [error, GIVE_UP_AFTER_HOURS, delivery.pk])


def _tell_slack(telling: Telling) -> None:
    _post(settings.SLACK_WEBHOOK_URL, {"text": telling.text})


def _tell_webhook(telling: Telling) -> None:
    _post(settings.ALERT_WEBHOOK_URL, telling.facts)


def _tell_by_email(telling: Telling) -> None:
    message = EmailMessage(
        subject=telling.subject,
        body=f"{telling.text}\n\nThe control room: /admin/rollout/ on your site.\n",
        to=settings.ALERT_EMAILS,
        connection=get_connection(timeout=TIMEOUT_SECONDS),
    )
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as problem:
        raise NotDelivered(type(problem).__name__) from None


def _tell_sentry(telling: Telling) -> None:
    import sentry_sdk  # noqa: PLC0415 -- only where it is configured

    alert = telling.alert
    level = "info" if telling.is_over else {"critical": "fatal"}.get(alert.severity, "warning")
    with sentry_sdk.new_scope() as scope:
        # The beginning and the end of all alerts of a kind are one issue there.
        scope.fingerprint = ["rollout-alert", alert.kind]
        scope.set_tag("alert", alert.kind)
        scope.set_tag("stage", alert.stage)
        sentry_sdk.capture_message(telling.text, level=level, scope=scope)  # type: ignore[arg-type]
    sentry_sdk.flush(TIMEOUT_SECONDS)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def _post(address: str, body: Mapping[str, Any]) -> None:
    request = urllib.request.Request(  # noqa: S310 -- settings admit http and https alone
        address, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS):
            pass
    except urllib.error.HTTPError as answer:
        with answer:
            raise NotDelivered(f"answered {answer.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as problem:
        reason = getattr(problem, "reason", problem)
        raise NotDelivered(type(reason if isinstance(reason, Exception) else problem).__name__) from None


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
