"""Mail to staff about reports that wait."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from carecollective.accounts.letters.staff import queue_for_staff, refuse_disturbing
from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_all
from carecollective.mail.letters import Action, Letter
from carecollective.mail.topics import Topic

REPORTS_MAIL = "reports_waiting"

_WAITING = """
SELECT count(*), max(created_at) FROM (
  SELECT created_at, status FROM public.moderation_report
  UNION ALL
  SELECT created_at, status FROM public.moderation_legacy_reports()) report
WHERE status = 'pending'
"""


def queue_reports_waiting() -> int:
    """Tell staff that reports wait; return how many were told. For the worker."""
    return queue_for_staff(REPORTS_MAIL, Topic.REPORTS, _newest)


def compose_reports_waiting(member_id: UUID) -> Letter | None:
    """Write how many wait; None when none does, or the member wants no such mail. It says nothing of what was reported."""
    member = User.objects.get(pk=member_id)
    if not refuse_disturbing(member_id, Topic.REPORTS):
        return None
    count, _newest_at = _read_waiting(member)
    if not count:
        return None
    said = ngettext("%(count)d report waits", "%(count)d reports wait", count) % {"count": count}
    return Letter(
        said,
        [
            _("%(said)s. Somebody may be threatened or cheated: please look soon.") % {"said": said},
            Action(_("Look at the reports"), f"{settings.SITE_ADDRESS}{reverse('admin:moderation_report_changelist')}"),
        ],
        name=member.name,
    )


def _newest(member: User) -> datetime | None:
    return _read_waiting(member)[1]


def _read_waiting(staff: User) -> tuple[int, datetime | None]:
    """Return how many reports of both systems wait, and when the newest came."""
    with acting_as(staff):
        ((count, newest),) = fetch_all(_WAITING)
    return count, newest
