"""Carries alerts to people: Slack, e-mail, Sentry and a web address of the operator's, each where it is configured.

The worker does this, and the guard while the worker is gone; no look of the guard waits for it. Each alert is told once
when it opens and once when it is over, over each channel, and tried again until it arrives, in words that are true at that
moment. What is told are figures and words of ours, which hold nothing that a member wrote.
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
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import connection, transaction
from django.utils.translation import gettext as _

from carecollective.core.deadlines import Deadline
from carecollective.core.errors import NotPermitted
from carecollective.observability import sentry
from rollout.alerts.lifecycle import REOPENS_WITHIN, SILENCES_FOR, DeliveryRecord, describe_delivery, record_of
from rollout.alerts.messages import Message, Present, alert_message, channel_test_message
from rollout.alerts.rules import RULES, may_be_outdone
from rollout.errors import ChannelNotConfigured
from rollout.models.alerts import Delivery, Occasion
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.cohort import nobody_can_start

if TYPE_CHECKING:
    from carecollective.accounts.models import User

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
AT_ONCE = 20
PAUSE_FIRST, PAUSE_LAST = 5, 900
GIVE_UP_AFTER_HOURS = 24
NOTIFY_WITHIN_HOURS = 24
# How long an alert waits for a stronger one of the same cause: two looks of the guard, or some more.
SETTLING_SECONDS_CRITICAL, SETTLING_SECONDS = 10, 30

# What sets up each channel. Without a mail server, mail becomes files that reach nobody.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "slack": ("SLACK_WEBHOOK_URL",),
    "email": ("ALERT_EMAILS", "EMAIL_URL"),
    "sentry": ("SENTRY_DSN",),
    "webhook": ("ALERT_WEBHOOK_URL",),
}

# An alert that turned V2 off is told by that rollback's own. One cause, one message: while a stronger alert of the same
# cause goes on, the weaker one is not told.
_QUEUE_OPENED = """
INSERT INTO rollout_delivery (alert_id, channel, what, attempts, error)
SELECT a.id, wanted.channel, 'opened', 0, ''
FROM rollout_alert a CROSS JOIN unnest(%(channels)s::text[]) AS wanted (channel)
  LEFT JOIN unnest(%(kinds)s::text[], %(waits)s::boolean[]) AS rule (kind, waits) ON rule.kind = a.kind
WHERE (a.resolved_at IS NULL OR a.resolved_at > clock_timestamp() - make_interval(hours => %(hours)s))
  AND (a.kind = 'guard_rollback' OR NOT a.disabled_v2)
  AND a.opened_at <= clock_timestamp() - make_interval(secs =>
    CASE WHEN NOT coalesce(rule.waits, false) THEN 0 WHEN a.severity = 'critical' THEN %(critical)s ELSE %(others)s END)
  AND NOT EXISTS (
    SELECT FROM rollout_alert s
    JOIN unnest(%(weaker)s::text[], %(stronger)s::text[]) AS silence (weaker, stronger) ON silence.stronger = s.kind
    WHERE silence.weaker = a.kind AND s.opened_at < coalesce(a.resolved_at, clock_timestamp())
      AND s.last_seen_at > coalesce(a.resolved_at, clock_timestamp()) - %(silences_for)s)
ON CONFLICT (alert_id, channel, what) DO NOTHING
"""
# Who was not told of the beginning, or was told of it when it was over, is not told of the end. Nor is anybody before it
# is sure: an alert may go on, and a worse one may have taken its place.
_QUEUE_RESOLVED = """
INSERT INTO rollout_delivery (alert_id, channel, what, attempts, error)
SELECT a.id, told.channel, 'resolved', 0, '' FROM rollout_alert a
JOIN rollout_delivery told ON told.alert_id = a.id AND told.what = 'opened' AND told.delivered_at < a.resolved_at
WHERE a.resolved_at < clock_timestamp() - %(reopens_within)s AND a.severity <> 'notice'
  AND told.channel = ANY (%(channels)s) AND NOT EXISTS (
    SELECT FROM rollout_alert later WHERE later.kind = a.kind AND later.key = a.key AND later.id > a.id
      AND later.opened_at < a.resolved_at + %(reopens_within)s)
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
UPDATE rollout_delivery d SET error = %s, failed_at = clock_timestamp(), next_try_at = CASE WHEN (
    SELECT greatest(a.opened_at, coalesce(a.resolved_at, a.opened_at)) FROM rollout_alert a WHERE a.id = d.alert_id
  ) > clock_timestamp() - make_interval(hours => %s) THEN next_try_at END
WHERE d.id = %s
"""
_STATES = """
SELECT channel, max(delivered_at), max(delivered_at) FILTER (WHERE what = 'test'), max(failed_at),
  coalesce((array_agg(error ORDER BY failed_at DESC NULLS LAST))[1], ''),
  count(*) FILTER (WHERE next_try_at IS NOT NULL)
FROM rollout_delivery GROUP BY channel
"""


class NotDelivered(Exception):
    """Why a channel did not take a message, in words without addresses or secrets."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A way to reach people, and what last happened on it.

    `tested_at` is when a test message last arrived. `error` says why the last failure failed.
    """

    name: str
    configured: bool
    delivered_at: datetime | None
    tested_at: datetime | None
    failed_at: datetime | None
    error: str
    waiting: int

    @property
    def variables(self) -> tuple[str, ...]:
        """What has to be set in the environment for it."""
        return VARIABLES[self.name]

    @property
    def is_proven(self) -> bool:
        """Tell whether a test message arrived, and nothing has failed since the last that did."""
        if not self.configured or self.tested_at is None or self.delivered_at is None:
            return False
        return self.failed_at is None or self.failed_at < self.delivered_at


Channel = Callable[[Message], None]


def channels() -> Mapping[str, Channel]:
    """Return the channels that the environment configures, by name."""
    return {name: send for name, (configured, send) in _known_channels().items() if configured}


def name_variables() -> str:
    """Name the variables of which one is enough for somebody to be told."""
    *first, last = (variables[0] for variables in VARIABLES.values())
    return _("%(first)s or %(last)s") % {"first": ", ".join(first), "last": last}


def channel_states() -> tuple[ChannelState, ...]:
    """Tell of each channel that there is, configured or not, when a message last arrived and last failed."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES)
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    return tuple(
        ChannelState(name, bool(configured), *found.get(name, (None, None, None, "", 0)))
        for name, (configured, _send) in _known_channels().items()
    )


def send_test_message(*, channel: str, actor: "User | None" = None, actor_label: str = "") -> DeliveryRecord:
    """Send a test message over a channel now, the way alerts go, and return what became of it. Tried once.

    Without an actor it is trusted, as a command is. Raises NotPermitted and ChannelNotConfigured.
    """
    if actor is not None and not actor.has_perm("rollout.view"):
        raise NotPermitted
    send = channels().get(channel)
    if send is None:
        raise ChannelNotConfigured(_how_to_set_up(channel))
    asked_by = actor_label or (str(actor) if actor else "Somebody at the command line")
    delivery = Delivery.objects.create(
        channel=channel,
        what=Occasion.TEST,
        attempts=1,
        next_try_at=None,
        requested_by_id=actor.pk if actor else None,
        requested_by_label=asked_by,
    )
    attempt = _Attempt(delivery, send, channel_test_message(channel=channel, asked_by=asked_by))
    _settle(attempt, time.monotonic() + TIMEOUT_SECONDS)
    delivery.refresh_from_db()
    return describe_delivery(delivery)


def _how_to_set_up(channel: str) -> str:
    if channel not in VARIABLES:
        said = {"name": channel, "names": ", ".join(VARIABLES)}
        return _("There is no channel %(name)s. There are: %(names)s.") % said
    said = {"name": channel, "variables": _(" and ").join(VARIABLES[channel])}
    return _("%(name)s is not set up. Set %(variables)s, restart the site, and try again.") % said


def deliver_waiting() -> int:
    """Send what is due, all at once and within five seconds; return how much arrived. For the worker."""
    configured = channels()
    if not configured:
        return 0
    queue(list(configured))
    due = _claim(list(configured))
    if not due:
        return 0
    present = _read_present()
    attempts = [
        _Attempt(one, configured[one.channel], alert_message(record_of(one.alert), one.what, present))
        for one in due
        if one.alert is not None
    ]
    deadline = time.monotonic() + TIMEOUT_SECONDS
    return sum(_settle(attempt, deadline) for attempt in attempts)


def queue(names: list[str]) -> None:
    """Note what is to be told, once for each alert, channel and occasion."""
    silences = [(rule.kind, stronger) for rule in RULES for stronger in rule.silenced_by]
    values: dict[str, Any] = {
        "channels": names,
        "hours": NOTIFY_WITHIN_HOURS,
        "kinds": [rule.kind for rule in RULES],
        "waits": [may_be_outdone(rule) for rule in RULES],
        "weaker": [weaker for weaker, _stronger in silences],
        "stronger": [stronger for _weaker, stronger in silences],
        "critical": SETTLING_SECONDS_CRITICAL,
        "others": SETTLING_SECONDS,
        "silences_for": SILENCES_FOR,
        "reopens_within": REOPENS_WITHIN,
    }
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE_OPENED, values)
        cursor.execute(_QUEUE_RESOLVED, values)


def _read_present() -> Present:
    """Read what the rollout is like now, from the row itself."""
    state, override = snapshot.read_now(), settings.MESSAGING_V2_ROLLOUT
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    stage = DISABLED if override == DISABLED else state.stage
    return Present(
        at=now,
        stage=str(stage),
        v2_is_on=stage != DISABLED and not state.holds_v2_off,
        nobody_can_start=nobody_can_start(state=state, override=override),
    )


class _Attempt(threading.Thread):
    """One message on its way, cut off after TIMEOUT_SECONDS. A daemon: nobody waits for it longer, whatever holds it up."""

    def __init__(self, delivery: Delivery, send: Channel, message: Message) -> None:
        super().__init__(name=f"delivery-{delivery.channel}", daemon=True)
        self.delivery = delivery
        self._send = send
        self._message = message
        self._error: str | None = f"no answer within {TIMEOUT_SECONDS:.0f} s"
        self.start()

    def run(self) -> None:
        with Deadline(TIMEOUT_SECONDS) as limit:
            error = self._try()
        if not limit.is_over:
            self._error = error

    def _try(self) -> str | None:
        try:
            self._send(self._message)
        except NotDelivered as refusal:
            return str(refusal)
        except Exception as problem:  # noqa: BLE001 - a channel's bug is that channel's alone
            return type(problem).__name__
        return None

    def wait(self, deadline: float) -> str | None:
        """Return why it did not arrive; None when it did."""
        self.join(max(0.0, deadline - time.monotonic()))
        return self._error


def _claim(names: list[str]) -> list[Delivery]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"first": PAUSE_FIRST, "last": PAUSE_LAST, "channels": names, "at_once": AT_ONCE})
        ids = [row[0] for row in cursor.fetchall()]
    return list(Delivery.objects.filter(pk__in=ids).select_related("alert").order_by("pk"))


def _settle(attempt: _Attempt, deadline: float) -> bool:
    """Wait for an attempt, record how it ended, and tell whether the message arrived."""
    error = attempt.wait(deadline)
    if error is None:
        _mark_delivered(attempt.delivery)
    else:
        logger.warning("A message could not be delivered by %s (%s).", attempt.delivery.channel, error)
        _mark_failed(attempt.delivery, error)
    return error is None


def _mark_delivered(delivery: Delivery) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rollout_delivery SET delivered_at = clock_timestamp(), next_try_at = NULL WHERE id = %s",
            [delivery.pk],
        )


def _mark_failed(delivery: Delivery, error: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, [error, GIVE_UP_AFTER_HOURS, delivery.pk])


def _known_channels() -> Mapping[str, tuple[Any, Channel]]:
    return {
        "slack": (settings.SLACK_WEBHOOK_URL, _send_slack),
        "email": (settings.ALERT_EMAILS, _send_email),
        "sentry": (settings.SENTRY_DSN, _send_sentry),
        "webhook": (settings.ALERT_WEBHOOK_URL, _send_webhook),
    }


def _send_slack(message: Message) -> None:
    _post(settings.SLACK_WEBHOOK_URL, {"text": message.text})


def _send_webhook(message: Message) -> None:
    _post(settings.ALERT_WEBHOOK_URL, message.facts)


def _send_email(message: Message) -> None:
    # A mail for each address: of one mail to several, the server may refuse some in silence.
    refused: list[str] = []
    try:
        with get_connection(timeout=TIMEOUT_SECONDS) as server:
            for address in settings.ALERT_EMAILS:
                mail = EmailMessage(message.subject, f"{message.text}\n", to=[address], connection=server)
                try:
                    mail.send()
                except smtplib.SMTPRecipientsRefused as problem:
                    refused.append(type(problem).__name__)
    except (OSError, smtplib.SMTPException) as problem:
        raise NotDelivered(type(problem).__name__) from None
    if len(refused) == len(settings.ALERT_EMAILS):
        raise NotDelivered(refused[0])
    if refused:
        # The others were told, and must not be told again and again.
        logger.error("An alert was refused for %d of %d addresses.", len(refused), len(settings.ALERT_EMAILS))


_SENTRY_LEVELS = {"critical": "fatal", "warning": "warning"}


def _send_sentry(message: Message) -> None:
    import sentry_sdk  # noqa: PLC0415 -- only where it is configured

    dropped = sentry.count_dropped()
    with sentry_sdk.new_scope() as scope:
        # The beginning and the end of all alerts of a kind are one issue there; each change is one of its own.
        scope.fingerprint = ["rollout-alert", message.kind, *([message.key] if message.key else [])]
        scope.set_tag("alert", message.kind)
        scope.set_tag("stage", message.stage)
        level = _SENTRY_LEVELS.get(message.level, "info")
        sentry_sdk.capture_message(message.text, level=level, scope=scope)  # type: ignore[arg-type]
    # Longer than an attempt may take: where Sentry never answers, the attempt has failed by then.
    sentry_sdk.flush(2 * TIMEOUT_SECONDS)
    if sentry.count_dropped() > dropped:
        raise NotDelivered("not taken")


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
