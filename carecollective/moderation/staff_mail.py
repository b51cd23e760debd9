"""Mail to staff about reports that wait."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from carecollective.accounts.letters.staff import queue_for_staff, refuse_disturbing
from carecollective.accounts.models import User
from carecollective.mail.letters import Action, Letter
from carecollective.mail.topics import Topic
from carecollective.moderation.selectors import read_reports_waiting

REPORTS_MAIL = "reports_waiting"


def queue_reports_waiting() -> int:
    """Tell staff that reports wait; return how many were told. For the worker."""
    return queue_for_staff(REPORTS_MAIL, Topic.REPORTS, _newest)


def compose_reports_waiting(member_id: UUID) -> Letter | None:
    """Write how many wait; None when none does, or the member wants no such mail. It says nothing of what was reported."""
    member = User.objects.get(pk=member_id)
    if not refuse_disturbing(member_id, Topic.REPORTS):
        return None
    count = read_reports_waiting(reader=member).count
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
    return read_reports_waiting(reader=member).newest
