"""Mail about requests: to the helpers when one is over, and to its owner when its time ends."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.accounts.preferences.services import is_quiet_now, read_preferences, wants_mail
from carecollective.core.database import ClockTimestamp, acting_as, fetch_all, read_clock
from carecollective.help_requests.models import HelpRequest, RequestStatus, StatusChange
from carecollective.inbox.notifications.answering import may_answer
from carecollective.inbox.notifications.letters import thread_link
from carecollective.inbox.queries import without_v2
from carecollective.inbox.selectors import conversation_about
from carecollective.mail.letters import Action, Letter, shorten
from carecollective.mail.queue import NotNow, queue_mail
from carecollective.mail.topics import Topic
from rollout.targeting.cohort import v2_is_installed

REQUEST_OVER, REQUEST_EXPIRED, REQUEST_EXPIRING = "request_over", "request_expired", "request_expiring"
EXPIRES_WITHIN = timedelta(days=3)
BATCH = 100

# Who offered help with a request and whose conversation about it goes on, as its owner sees it.
_HELPERS = """
WITH helpers AS (
  SELECT helper_id AS id FROM conversations_v2
  WHERE help_request_id = %(request)s AND requester_id = %(owner)s AND status = 'active'
  UNION
  SELECT other.user_id FROM conversations c
  JOIN conversation_participants me ON me.conversation_id = c.id AND me.user_id = %(owner)s AND me.left_at IS NULL
  JOIN conversation_participants other ON other.conversation_id = c.id AND other.user_id <> %(owner)s
    AND other.left_at IS NULL
  WHERE c.help_request_id = %(request)s AND coalesce(c.status::text, 'active') NOT IN ('closed', 'blocked')
    AND NOT EXISTS (SELECT FROM safety_closing closing WHERE closing.conversation_id = c.id))
SELECT id FROM helpers WHERE id NOT IN (SELECT block.member_id FROM public.my_blocks() block) ORDER BY id
"""
# Named by the day on which it ends: opened again, a request ends another day.
_EXPIRING = """
SELECT r.id, r.user_id, (r.expires_at AT TIME ZONE 'UTC')::date
FROM help_requests r
WHERE r.status = 'open' AND NOT coalesce(r.is_ongoing, false) AND r.expires_at > clock_timestamp()
  AND r.expires_at <= clock_timestamp() + %(within)s AND r.created_at < clock_timestamp() - %(within)s
  AND NOT EXISTS (
    SELECT FROM mail_outgoingmail m WHERE m.recipient_id = r.user_id AND m.kind = %(kind)s
      AND m.reference = r.id::text || ' ' || (r.expires_at AT TIME ZONE 'UTC')::date::text)
ORDER BY r.expires_at, r.id LIMIT %(batch)s
"""


def queue_status_changes() -> int:
    """Queue mail about requests that were completed, withdrawn or closed; return about how many. For the worker.

    It waits `MAIL_DELAY_SECONDS`, so that what is taken back at once is mailed to nobody.
    """
    before = ClockTimestamp() - timedelta(seconds=settings.MAIL_DELAY_SECONDS)
    with transaction.atomic():
        due = StatusChange.objects.filter(mailed_at=None, at__lte=before).select_related("help_request").order_by("at")
        changes = list(due.select_for_update(skip_locked=True, of=("self",), no_key=True)[:BATCH])
        for change in changes:
            match change.status:
                case RequestStatus.COMPLETED | RequestStatus.CANCELLED:
                    queue_mail(REQUEST_OVER, *_helpers_of(change.help_request), reference=str(change.pk))
                case RequestStatus.CLOSED:
                    queue_mail(REQUEST_EXPIRED, change.help_request.user_id, reference=str(change.pk))
        StatusChange.objects.filter(pk__in=[change.pk for change in changes]).update(mailed_at=ClockTimestamp())
    return len(changes)


def queue_expiring() -> int:
    """Queue mail to owners whose open request ends within three days; return how many. For the worker."""
    rows = fetch_all(_EXPIRING, {"within": EXPIRES_WITHIN, "kind": REQUEST_EXPIRING, "batch": BATCH})
    for request_id, owner_id, ends_on in rows:
        queue_mail(REQUEST_EXPIRING, owner_id, reference=f"{request_id} {ends_on}")
    return len(rows)


def compose_request_over(member_id: UUID, reference: str) -> Letter | None:
    """Tell a helper that a request was completed or withdrawn; None when it was opened again meanwhile."""
    change = _find_change(reference)
    if change is None or not _may_be_told(member_id):
        return None
    member, request = User.objects.get(pk=member_id), change.help_request
    conversation = conversation_about(member=member, help_request_id=request.pk)
    if conversation is None:
        return None
    said = {"who": request.user.name, "title": request.title}
    if change.status == RequestStatus.COMPLETED:
        subject = _("Completed: %(title)s")
        sentence = _("%(who)s has marked the request “%(title)s” as completed. Thank you for offering to help.")
    else:
        subject = _("No longer needed: %(title)s")
        sentence = _("%(who)s has taken back the request “%(title)s”. Thank you for offering to help.")
    if may_answer(member, conversation.conversation_id):
        rest = _("You need do nothing more. If you have arranged something, please settle it in your conversation.")
    else:
        rest = _("You need do nothing more.")
    return Letter(
        subject % {"title": shorten(request.title)},
        [
            sentence % said,
            rest,
            Action(_("Open the conversation"), thread_link(conversation.conversation_id)),
        ],
        name=member.name,
        about=frozenset({request.user_id}),
    )


def compose_request_expired(member_id: UUID, reference: str) -> Letter | None:
    """Tell the owner that their request was closed, and how to ask again; None when they did already."""
    change = _find_change(reference)
    if change is None or not _may_be_told(member_id):
        return None
    request = change.help_request
    return Letter(
        _("Your request has ended: %(title)s") % {"title": shorten(request.title)},
        [
            _("“%(title)s” was on the list for thirty days, so we have closed it.") % {"title": request.title},
            _("Do you still need help? The button on its page puts it back with one click."),
            Action(_("Ask again"), _request_link(request.pk)),
            _("Otherwise you need do nothing."),
        ],
        name=request.user.name,
    )


def compose_request_expiring(member_id: UUID, reference: str) -> Letter | None:
    """Tell the owner that their request ends soon; None when it is over, or has more time by now."""
    key, _space, day = reference.partition(" ")
    request = HelpRequest.objects.filter(pk=key, status=RequestStatus.OPEN).select_related("user").first()
    ends_on = date.fromisoformat(day)
    if request is None or request.expires_at is None or request.expires_at.date() != ends_on:
        return None
    if not _may_be_told(member_id):
        return None
    said = {"title": request.title, "day": date_format(ends_on, "l, j F")}
    return Letter(
        _("Your request ends soon: %(title)s") % {"title": shorten(request.title)},
        [
            _("“%(title)s” leaves the list on %(day)s.") % said,
            _("Did somebody help you? Then please mark it as completed, so that nobody offers in vain."),
            _("If you still need help, one click on its page keeps it on the list for another thirty days."),
            Action(_("Keep it open"), _request_link(request.pk)),
        ],
        name=request.user.name,
    )


def _find_change(reference: str) -> StatusChange | None:
    """Return a change, unless the request has another status by now."""
    change = StatusChange.objects.filter(pk=reference).select_related("help_request__user").first()
    return change if change is not None and change.help_request.status == change.status else None


def _may_be_told(member_id: UUID) -> bool:
    """Tell whether the member wants news of requests. Raises NotNow in their quiet hours."""
    preferences = read_preferences(member_id)
    if not wants_mail(preferences, Topic.REQUESTS):
        return False
    if is_quiet_now(preferences, read_clock()):
        raise NotNow
    return True


def _helpers_of(request: HelpRequest) -> Sequence[UUID]:
    statement = _HELPERS if v2_is_installed() else without_v2(_HELPERS)
    with acting_as(User(pk=request.user_id)):
        rows = fetch_all(statement, {"request": request.pk, "owner": request.user_id})
    return [row[0] for row in rows]


def _request_link(request_id: UUID) -> str:
    return f"{settings.SITE_ADDRESS}{reverse('request-detail', args=[request_id])}#manage"
