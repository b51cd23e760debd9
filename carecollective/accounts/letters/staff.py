"""What staff hear: that something waits for them. Batched: at most one mail an hour, and one a day while it waits."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Max
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from carecollective.accounts.applicants.selectors import applicants_waiting
from carecollective.accounts.models import User
from carecollective.accounts.preferences.services import is_quiet_now, read_preferences, wants_mail
from carecollective.core.database import read_clock
from carecollective.core.waiting import measure_waiting
from carecollective.mail.letters import Action, Letter
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import NotNow, queue_mail
from carecollective.mail.topics import Topic

APPLICANTS_MAIL = "applicants_waiting"
BATCHED_FOR, REMINDED_AFTER = timedelta(hours=1), timedelta(days=1)
# Given a member of staff: when the newest thing that waits for them came; None when nothing does.
NewestWaiting = Callable[[User], datetime | None]


def queue_for_staff(kind: str, topic: Topic, newest_waiting: NewestWaiting) -> int:
    """Queue a mail for each member of staff who wants it and is due one; return how many."""
    staff = User.objects.filter(is_staff=True, is_active=True).exclude(email=None).order_by("pk")
    due = [member.pk for member in staff if _is_due(member, kind, topic, newest_waiting(member))]
    queue_mail(kind, *due)
    return len(due)


def refuse_disturbing(member_id: UUID, topic: Topic) -> bool:
    """Tell whether the member still works as staff and wants this mail. Raises NotNow in their quiet hours."""
    preferences = read_preferences(member_id)
    if not wants_mail(preferences, topic) or not User.objects.filter(pk=member_id, is_staff=True).exists():
        return False
    if is_quiet_now(preferences, read_clock()):
        raise NotNow
    return True


def queue_applicants_waiting() -> int:
    """Tell staff that people wait to join; return how many were told. For the worker."""
    newest = measure_waiting(applicants_waiting()).newest
    return queue_for_staff(APPLICANTS_MAIL, Topic.APPLICANTS, lambda _member: newest)


def compose_applicants_waiting(member_id: UUID) -> Letter | None:
    """Write how many wait and how long; None when nobody does, or the member wants no such mail."""
    waiting = measure_waiting(applicants_waiting())
    if waiting.oldest is None or not refuse_disturbing(member_id, Topic.APPLICANTS):
        return None
    count, days = waiting.count, (read_clock() - waiting.oldest).days
    said = ngettext("%(count)d person waits to join", "%(count)d people wait to join", count) % {"count": count}
    waited = ngettext("The longest has waited for %(days)d day.", "The longest has waited for %(days)d days.", days) % {
        "days": days
    }
    return Letter(
        said,
        [
            _("%(said)s. Until you approve them they can read, and neither ask nor offer.") % {"said": said},
            *([waited] if days else []),
            Action(_("See who waits"), f"{settings.SITE_ADDRESS}{reverse('admin:applicants')}"),
        ],
        name=User.objects.get(pk=member_id).name,
    )


def _is_due(member: User, kind: str, topic: Topic, newest: datetime | None) -> bool:
    if newest is None or not wants_mail(read_preferences(member.pk), topic):
        return False
    mails = OutgoingMail.objects.filter(recipient=member, kind=kind)
    last: datetime | None = mails.aggregate(last=Max("created_at"))["last"]
    if last is None:
        return True
    passed = read_clock() - last
    return passed > REMINDED_AFTER or (passed > BATCHED_FOR and newest > last)
