"""Telling members by mail that something waits for them. Never what was said."""

from uuid import UUID

from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp, acting_as, fetch_all
from carecollective.core.retention import MAIL_KEPT
from carecollective.inbox.models import Notification, NotificationKind
from carecollective.inbox.queries import UNREAD_IN_V1, UNREAD_IN_V2
from carecollective.mail.queue import Letter, NotNow, queue_mail
from rollout.targeting.cohort import v2_is_installed
from rollout.versions import MessagingVersion

SOMETHING_NEW = "something_new"
BATCH = 200

_WANTED = "p.email IS NOT NULL AND p.is_active AND coalesce(c.email_notifications, true)"
_QUIET = """coalesce(CASE
    WHEN c.quiet_hours_start <= c.quiet_hours_end
      THEN localtime >= c.quiet_hours_start AND localtime < c.quiet_hours_end
    ELSE localtime >= c.quiet_hours_start OR localtime < c.quiet_hours_end END, false)"""
# Members who want no mail are among them: composing theirs settles the notifications and sends nothing.
# After a dead letter only what is newer is tried again by itself; that mail then speaks of all that waits. What is older than
# dead letters are kept is news to nobody.
_TO_TELL = f"""
SELECT n.recipient_id
FROM inbox_notification n
JOIN profiles p ON p.id = n.recipient_id
LEFT JOIN messaging_preferences c ON c.user_id = p.id
WHERE n.settled_at IS NULL AND n.created_at > clock_timestamp() - %(kept)s
  AND (NOT ({_WANTED}) OR NOT {_QUIET})
  AND NOT EXISTS (
    SELECT FROM mail_outgoingmail m WHERE m.recipient_id = n.recipient_id AND m.kind = %(kind)s
      AND (m.state = 'waiting' OR m.state = 'dead' AND m.settled_at >= n.created_at))
GROUP BY n.recipient_id ORDER BY min(n.created_at), n.recipient_id LIMIT %(batch)s
"""  # noqa: S608 -- our own text
_MEMBER = f"""
SELECT p.name, {_WANTED}, {_QUIET} FROM profiles p LEFT JOIN messaging_preferences c ON c.user_id = p.id WHERE p.id = %s
"""  # noqa: S608 -- our own text


def notify(*, recipient_id: UUID, conversation_id: UUID, version: MessagingVersion, kind: NotificationKind) -> None:
    """Note that a member should hear of a conversation. Part of the caller's transaction; the worker queues the mail."""
    Notification.objects.create(recipient_id=recipient_id, conversation_id=conversation_id, version=version, kind=kind)


def queue_waiting() -> int:
    """Queue one mail for each member for whom something waits; return for how many. For the worker.

    What it is about is settled when the mail has gone out. Members within their quiet hours wait.
    """
    values = {"kind": SOMETHING_NEW, "batch": BATCH, "kept": MAIL_KEPT}
    members = [row[0] for row in fetch_all(_TO_TELL, values)]
    queue_mail(SOMETHING_NEW, *members)
    return len(members)


def compose_something_new(member_id: UUID) -> Letter | None:
    """Write the mail about what still waits to be read; None when nothing does. Raises NotNow in the quiet hours."""
    ((name, is_wanted, is_quiet),) = fetch_all(_MEMBER, [member_id])
    waiting = Notification.objects.filter(recipient=member_id, settled_at=None)
    if is_wanted and is_quiet:
        raise NotNow
    known = [row.pk for row in waiting.only("pk")]
    unread = _still_unread(member_id) if is_wanted else {}
    _settle([key for key in known if key not in unread])
    if not unread:
        return None
    return Letter(
        _("Something new for you at Care Collective"),
        render_to_string("inbox/email/waiting.txt", {"name": name, "kinds": set(unread.values())}),
        after=lambda: _settle(list(unread)),
    )


def _still_unread(member_id: UUID) -> dict[UUID, str]:
    """Return what the member has not read by now, of conversations that are still open to them: kinds by id."""
    with acting_as(User(pk=member_id)):
        found = fetch_all(UNREAD_IN_V1, {"reader": member_id})
        if v2_is_installed():
            found += fetch_all(UNREAD_IN_V2, {"reader": member_id})
    return dict(found)


def _settle(keys: list[UUID]) -> None:
    Notification.objects.filter(pk__in=keys).update(settled_at=ClockTimestamp())
