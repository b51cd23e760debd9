"""Telling members by e-mail that something waits for them. Never what was said."""

import logging
from collections import defaultdict
from uuid import UUID

from django.core.mail import send_mail
from django.db import connection, transaction
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from carecollective.core.database import ClockTimestamp
from carecollective.inbox.models import Notification, NotificationKind
from rollout.versions import MessagingVersion

logger = logging.getLogger(__name__)

BATCH = 200

# Members within their quiet hours wait; those who want no e-mail, cannot sign in or have no address are settled unsent.
_WAITING = """
SELECT n.id, n.recipient_id, n.kind, p.email, p.name,
       p.email IS NOT NULL AND p.is_active AND coalesce(c.email_notifications, true) AS wanted
FROM inbox_notification n
JOIN profiles p ON p.id = n.recipient_id
LEFT JOIN messaging_preferences c ON c.user_id = p.id
WHERE n.settled_at IS NULL
  AND NOT coalesce(CASE
    WHEN c.quiet_hours_start <= c.quiet_hours_end
      THEN localtime >= c.quiet_hours_start AND localtime < c.quiet_hours_end
    ELSE localtime >= c.quiet_hours_start OR localtime < c.quiet_hours_end END, false)
ORDER BY n.created_at, n.id
LIMIT %s FOR UPDATE OF n SKIP LOCKED
"""


def notify(*, recipient_id: UUID, conversation_id: UUID, version: MessagingVersion, kind: NotificationKind) -> None:
    """Note that a member should hear of a conversation. Part of the caller's transaction; the worker sends it after."""
    Notification.objects.create(recipient_id=recipient_id, conversation_id=conversation_id, version=version, kind=kind)


def send_waiting() -> int:
    """Send what waits, one e-mail a member however much has come; return how many were sent.

    Settled before they are sent: a crash between the two loses an e-mail, and never sends one twice.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_WAITING, [BATCH])
            waiting = cursor.fetchall()
        Notification.objects.filter(pk__in=[row[0] for row in waiting]).update(settled_at=ClockTimestamp())
    by_member = defaultdict(list)
    for _id, _recipient, kind, email, name, wanted in waiting:
        if wanted:
            by_member[(email, name)].append(kind)
    sent = 0
    for (email, name), kinds in by_member.items():
        try:
            send_mail(
                _("Something new for you at Care Collective"),
                render_to_string("inbox/email/waiting.txt", {"name": name, "kinds": set(kinds), "count": len(kinds)}),
                None,
                [email],
            )
            sent += 1
        except (OSError, ValueError) as refusal:
            # The mail server, or an address that is none. Only the kind is logged: the text may hold the address.
            logger.warning("A notification e-mail could not be handed over (%s).", type(refusal).__name__)
    return sent
