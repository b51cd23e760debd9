"""Send alerts over every configured channel: once when they open and once when they end.

The worker does this, and the guard while the worker is gone. A message is tried again until it arrives, and worded anew at
each try. It holds our own figures and sentences, and nothing that a member wrote.
"""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp, fetch_all
from carecollective.core.deadlines import Deadline
from carecollective.core.errors import NotPermitted
from carecollective.serving.jobs import claim, pause_after
from rollout.alerts import channels
from rollout.alerts.channels import CHANNELS, Channel, NotDelivered, configured_channels
from rollout.alerts.lifecycle import REOPENS_WITHIN, SILENCES_FOR, DeliveryRecord, alert_record, delivery_record
from rollout.alerts.messages import Message, Present, alert_message, channel_test_message
from rollout.alerts.rules import RULES
from rollout.errors import ChannelNotConfigured
from rollout.models.alerts import Delivery, Occasion
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.cohort import nobody_can_start
from rollout.targeting.state import environment_disables

logger = logging.getLogger(__name__)

AT_ONCE = 20
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(hours=24)
NOTIFY_WITHIN_HOURS = 24
# How long an alert waits for a stronger one of the same cause: at least two looks of the guard.
SETTLING_SECONDS_CRITICAL, SETTLING_SECONDS = 10, 30

# One cause, one message: an alert that turned V2 off is covered by the rollback's own, and a weaker one by a stronger.
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
# The end is told only to channels that were told of the beginning while it lasted, and only once the alert cannot go on.
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
_FAILED = """
UPDATE rollout_delivery d SET error = %(error)s, failed_at = clock_timestamp(), next_try_at = CASE WHEN (
    SELECT greatest(a.opened_at, coalesce(a.resolved_at, a.opened_at)) FROM rollout_alert a WHERE a.id = d.alert_id
  ) > clock_timestamp() - %(give_up)s THEN clock_timestamp() + %(pause)s END
WHERE d.id = %(id)s
"""
_STATES = """
SELECT channel, max(delivered_at), max(delivered_at) FILTER (WHERE what = 'test'), max(failed_at),
  coalesce((array_agg(error ORDER BY failed_at DESC NULLS LAST))[1], ''),
  count(*) FILTER (WHERE next_try_at IS NOT NULL)
FROM rollout_delivery GROUP BY channel
"""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel and what last happened on it.

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
        """The environment variables that configure it."""
        return CHANNELS[self.name].variables

    @property
    def is_proven(self) -> bool:
        """Whether a test message arrived, and the latest message did too."""
        if not self.configured or self.tested_at is None or self.delivered_at is None:
            return False
        return self.failed_at is None or self.failed_at < self.delivered_at


def channel_states() -> tuple[ChannelState, ...]:
    """Return the state of every channel, configured or not."""
    found = {row[0]: row[1:] for row in fetch_all(_STATES)}
    return tuple(
        ChannelState(name, channel.is_configured, *found.get(name, (None, None, None, "", 0)))
        for name, channel in CHANNELS.items()
    )


def send_test_message(*, channel: str, actor: User | None = None, actor_label: str = "") -> DeliveryRecord:
    """Send a test message over a channel now, once, and return how that ended.

    A call without an actor is trusted: it is a command's. Raises NotPermitted and ChannelNotConfigured.
    """
    if actor is not None and not actor.has_perm("rollout.view"):
        raise NotPermitted
    if channel not in configured_channels():
        raise ChannelNotConfigured(channels.how_to_configure(channel))
    asked_by = actor_label or (str(actor) if actor else "Somebody at the command line")
    delivery = Delivery.objects.create(
        channel=channel,
        what=Occasion.TEST,
        attempts=1,
        next_try_at=None,
        requested_by_id=actor.pk if actor else None,
        requested_by_label=asked_by,
    )
    _send_all([(delivery, channel_test_message(channel=channel, asked_by=asked_by))])
    delivery.refresh_from_db()
    return delivery_record(delivery)


def deliver_waiting() -> int:
    """Send what is due, all at once and within five seconds; return how many messages arrived. For the worker."""
    names = list(configured_channels())
    if not names:
        return 0
    queue(names)
    waiting = Delivery.objects.filter(delivered_at=None, channel__in=names).select_related("alert")
    # Longer than an attempt takes, so that nobody else claims a message that is on its way.
    due = claim(waiting, lease=timedelta(seconds=2 * channels.TIMEOUT_SECONDS), at_most=AT_ONCE)
    if not due:
        return 0
    present = _read_present()
    return _send_all(
        [(one, alert_message(alert_record(one.alert), one.what, present)) for one in due if one.alert is not None]
    )


def queue(names: list[str]) -> None:
    """Queue a message for each alert that opened or ended, once for each channel."""
    silences = [(rule.kind, stronger) for rule in RULES for stronger in rule.silenced_by]
    values: dict[str, Any] = {
        "channels": names,
        "hours": NOTIFY_WITHIN_HOURS,
        "kinds": [rule.kind for rule in RULES],
        "waits": [rule.waits_for_stronger for rule in RULES],
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
    """Read the present state of the rollout from its row, not from this process's copy."""
    state = snapshot.read_now()
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    stage = DISABLED if environment_disables() else state.stage
    return Present(
        at=now,
        stage=str(stage),
        v2_is_on=stage != DISABLED and not state.holds_v2_off,
        nobody_can_start=nobody_can_start(state),
    )


class _Attempt(threading.Thread):
    """One message on its way, cut off after TIMEOUT_SECONDS. A daemon thread: the process may end before it does."""

    def __init__(self, delivery: Delivery, message: Message) -> None:
        super().__init__(name=f"delivery-{delivery.channel}", daemon=True)
        self.delivery = delivery
        self.error: str | None = f"no answer within {channels.TIMEOUT_SECONDS:.0f} s"
        self._channel = CHANNELS[delivery.channel]
        self._message = message
        self.start()

    def run(self) -> None:
        with Deadline(channels.TIMEOUT_SECONDS) as limit:
            error = _try_to_send(self._channel, self._message)
        if not limit.is_over:
            self.error = error


def _try_to_send(channel: Channel, message: Message) -> str | None:
    """Return why the message did not arrive; None when it did."""
    try:
        channel.send(message)
    except NotDelivered as refusal:
        return str(refusal)
    except Exception as problem:  # noqa: BLE001 - one channel's bug must not stop the others
        return type(problem).__name__
    return None


def _send_all(messages: list[tuple[Delivery, Message]]) -> int:
    """Send all at the same time, record how each attempt ended, and return how many arrived."""
    attempts = [_Attempt(delivery, message) for delivery, message in messages]
    deadline = time.monotonic() + channels.TIMEOUT_SECONDS
    arrived = 0
    for attempt in attempts:
        attempt.join(max(0.0, deadline - time.monotonic()))
        delivery, error = attempt.delivery, attempt.error
        if error is None:
            arrived += 1
            Delivery.objects.filter(pk=delivery.pk).update(delivered_at=ClockTimestamp(), next_try_at=None)
            continue
        logger.warning("A message could not be delivered by %s (%s).", delivery.channel, error)
        pause = pause_after(delivery.attempts + 1, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        values: dict[str, Any] = {"error": error, "give_up": GIVE_UP_AFTER, "pause": pause, "id": delivery.pk}
        with connection.cursor() as cursor:
            cursor.execute(_FAILED, values)
    return arrived
