"""What waits for a member of staff. The staff home lists it, and the header of every page counts it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import ngettext

from carecollective.accounts.applicants.selectors import read_applicants_waiting
from carecollective.accounts.models import User
from carecollective.contact.services import read_messages_waiting
from carecollective.core.database import acting_as
from carecollective.core.waiting import Waiting
from carecollective.mail.models import MailState
from carecollective.mail.selectors import read_dead_letters
from carecollective.moderation.selectors import read_reports_waiting
from carecollective.staff.selectors import read_unanswered
from rollout.alerts.lifecycle import read_alerts_waiting


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """One kind of thing that waits: how many in words, since when the oldest does, and where it is done."""

    kind: str
    count: int
    words: str
    oldest: datetime | None
    path: str


@dataclass(frozen=True, slots=True)
class _Source:
    """Where one line comes from. Without `permission` all staff see it."""

    kind: str
    read: Callable[[User], Waiting]
    words: Callable[[int], str]
    page: str
    query: str = ""
    permission: str = ""


def staff_waiting(member: User) -> Sequence[WaitingLine]:
    """Return what waits for this member of staff, the most pressing first; nothing for anybody else.

    Whether their session may open the staff site at all is the caller's question.
    """
    if not (member.is_staff and member.is_active):
        return []
    sources = [one for one in _SOURCES if not one.permission or member.has_perm(one.permission)]
    # In one transaction: the readings that are made as the member then share it.
    with acting_as(member):
        found = [(source, source.read(member)) for source in sources]
    return [_line(source, waiting) for source, waiting in found if waiting.count]


def _line(source: _Source, waiting: Waiting) -> WaitingLine:
    path = reverse(source.page) + source.query
    return WaitingLine(source.kind, waiting.count, source.words(waiting.count), waiting.oldest, path)


_SOURCES = (
    _Source(
        "alerts",
        lambda _member: read_alerts_waiting(),
        lambda count: ngettext("alert that nobody has taken on", "alerts that nobody has taken on", count),
        "admin:rollout_control_room",
        permission="rollout.view",
    ),
    _Source(
        "reports",
        lambda member: read_reports_waiting(reader=member),
        lambda count: ngettext("report to look at", "reports to look at", count),
        "admin:moderation_report_changelist",
    ),
    _Source(
        "applicants",
        lambda _member: read_applicants_waiting(),
        lambda count: ngettext("person who waits to join", "people who wait to join", count),
        "admin:applicants",
    ),
    _Source(
        "messages",
        lambda member: read_messages_waiting(reader=member),
        lambda count: ngettext("message to staff to answer", "messages to staff to answer", count),
        "admin:contact_contactmessage_changelist",
    ),
    _Source(
        "requests",
        lambda member: read_unanswered(reader=member),
        lambda count: ngettext(
            "request that nobody has answered for a day", "requests that nobody has answered for a day", count
        ),
        "admin:staff_unanswered",
    ),
    _Source(
        "mail",
        lambda _member: read_dead_letters(),
        lambda count: ngettext("mail that could not be sent", "mails that could not be sent", count),
        "admin:mail_outgoingmail_changelist",
        query=f"?state__exact={MailState.DEAD}",
    ),
)
