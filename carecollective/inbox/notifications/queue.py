"""When a member is written to about a conversation.

`MAIL_DELAY_SECONDS` after the first unread word, once for each conversation until the member has visited it, and at most
once an hour. Members who chose that get one mail a day instead. Nobody is disturbed in their quiet hours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from carecollective.accounts.models import MailPace
from carecollective.accounts.preferences.quiet_hours import is_quiet, local_time
from carecollective.core.database import ClockTimestamp, Member, fetch_all, fetch_one
from carecollective.core.rate_limits import Quota, quota_of
from carecollective.core.retention import MAIL_KEPT
from carecollective.inbox.models import Notification, NotificationKind
from carecollective.mail.queue import queue_mail
from carecollective.messaging.statements import COUNT_FIRST, COUNTED, IF_COUNTED, NOTE, News
from carecollective.postgres.backend.prepared import Prepared
from rollout.versions import MessagingVersion

CONVERSATION_NEWS, DAILY_NEWS = "conversation_news", "daily_news"
BATCH = 200
AGAIN_AFTER = timedelta(hours=1)
DAILY_AT = time(8)

# Conversations in which something may be unread, with the choices of the member who would be told. After a dead letter only
# what is newer is tried again by itself; that mail then speaks of all that waits.
_DUE = """
SELECT n.recipient_id, n.conversation_id, min(n.created_at), clock_timestamp(),
  p.email IS NOT NULL AND p.is_active AND coalesce(c.email_notifications, true),
  coalesce(c.mail_pace, 'soon'), coalesce(c.time_zone, ''), c.quiet_hours_start, c.quiet_hours_end
FROM inbox_notification n
JOIN profiles p ON p.id = n.recipient_id
LEFT JOIN messaging_preferences c ON c.user_id = p.id
LEFT JOIN inbox_conversationmail told ON told.member_id = n.recipient_id AND told.conversation_id = n.conversation_id
LEFT JOIN inbox_readpointer pointer
  ON pointer.member_id = n.recipient_id AND pointer.conversation_id = n.conversation_id
WHERE n.settled_at IS NULL AND n.created_at > clock_timestamp() - %(kept)s
  AND NOT EXISTS (
    SELECT FROM mail_outgoingmail m
    WHERE m.recipient_id = n.recipient_id
      AND (m.kind = %(soon)s AND m.reference = n.conversation_id::text OR m.kind = %(daily)s)
      AND (m.state = 'waiting' OR m.state = 'dead' AND m.settled_at >= n.created_at))
  AND (c.mail_pace = 'daily' OR told.mailed_at IS NULL OR told.mailed_at < clock_timestamp() - %(again_after)s AND (
    told.told_to IS NULL OR told.told_to <= pointer.read_to OR n.kind = 'asked_to_continue'))
GROUP BY n.recipient_id, n.conversation_id, p.id, c.user_id
HAVING min(n.created_at) <= clock_timestamp() - %(delay)s
ORDER BY min(n.created_at), n.recipient_id, n.conversation_id
"""
# Instead of `count_use(…)` and `notify(…)`, for the legacy messaging. The new one does it in the statement that writes.
_COUNT_AND_NOTE = Prepared(f"{COUNT_FIRST}, noted AS ({NOTE.format(of=IF_COUNTED)}) SELECT {COUNTED} FROM counted")  # noqa: S608 -- our own text


@dataclass(frozen=True, slots=True)
class _Due:
    member_id: UUID
    conversation_id: UUID
    since: datetime
    now: datetime
    is_wanted: bool
    pace: str
    zone: str
    quiet_start: time | None
    quiet_end: time | None

    @property
    def is_now(self) -> bool:
        """Whether the member's clock lets the mail go: outside the quiet hours, and daily mail from eight on."""
        if is_quiet(self.now, zone=self.zone, start=self.quiet_start, end=self.quiet_end):
            return False
        if self.pace != MailPace.DAILY:
            return True
        here = local_time(self.now, self.zone)
        since = local_time(self.since, self.zone)
        return here.time() >= DAILY_AT and since < here.replace(hour=DAILY_AT.hour, minute=0, second=0, microsecond=0)


def notify(*, recipient_id: UUID, conversation_id: UUID, version: MessagingVersion, kind: NotificationKind) -> None:
    """Note that a member should hear of a conversation. Part of the caller's transaction; the worker queues the mail."""
    Notification.objects.create(recipient_id=recipient_id, conversation_id=conversation_id, version=version, kind=kind)


def count_and_notify(
    news: News, *, member: Member, recipient_id: UUID, conversation_id: UUID, version: MessagingVersion
) -> Quota:
    """Count a use by the member, and note that another should hear of it; both in the caller's transaction and one statement.

    Returns what is left of the limit. Raises RateLimitExceeded as `count_use` does.
    """
    given = news.values(member=member, recipient_id=recipient_id, conversation_id=conversation_id, version=version)
    row: Any = fetch_one(_COUNT_AND_NOTE, given)
    return quota_of(news.limit, row)


def queue_waiting() -> int:
    """Queue the mails that are due; return how many. For the worker.

    What they are about is settled when they have gone out, and at once for members who want no mail.
    """
    due = _read_due()
    settle_notifications((one.member_id, one.conversation_id) for one in due if not one.is_wanted)
    now = [one for one in due if one.is_wanted and one.is_now][:BATCH]
    daily = {one.member_id for one in now if one.pace == MailPace.DAILY}
    queue_mail(DAILY_NEWS, *sorted(daily))
    soon = [one for one in now if one.member_id not in daily]
    for one in soon:
        queue_mail(CONVERSATION_NEWS, one.member_id, reference=str(one.conversation_id))
    return len(daily) + len(soon)


def settle_notifications(pairs: Iterable[tuple[UUID, UUID]]) -> None:
    """Settle all that these members were to hear of these conversations."""
    for member_id, conversation_id in pairs:
        waiting = Notification.objects.filter(recipient=member_id, conversation_id=conversation_id, settled_at=None)
        waiting.update(settled_at=ClockTimestamp())


def _read_due() -> Sequence[_Due]:
    values = {
        "soon": CONVERSATION_NEWS,
        "daily": DAILY_NEWS,
        "kept": MAIL_KEPT,
        "again_after": AGAIN_AFTER,
        "delay": timedelta(seconds=settings.MAIL_DELAY_SECONDS),
    }
    return [_Due(*row) for row in fetch_all(_DUE, values)]
