"""What waits for a member of staff. The staff home lists it, and the header of every page counts it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.backends import ModelBackend
from django.urls import reverse
from django.utils.translation import ngettext

from carecollective.accounts.applicants.selectors import applicants_waiting
from carecollective.accounts.models import User
from carecollective.contact.services import messages_waiting
from carecollective.core.database import acting_as
from carecollective.core.waiting import Waiting, WaitingQuery, measure_each
from carecollective.mail.models import MailState
from carecollective.mail.selectors import dead_letters
from carecollective.moderation.selectors import REPORTS_WAITING
from carecollective.staff.selectors import UNANSWERED
from rollout.alerts.lifecycle import alerts_waiting


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
    query: Callable[[], WaitingQuery]
    words: Callable[[int], str]
    page: str
    filters: str = ""
    permission: str = ""


def staff_waiting(member: User) -> Sequence[WaitingLine]:
    """Return what waits for this member of staff, the most pressing first; nothing for anybody else.

    Whether their session may open the staff site at all is the caller's question.
    """
    if not (member.is_staff and member.is_active):
        return []
    # One statement, since the header of every page asks it. It is made as the member, whom the policies and functions ask for.
    with acting_as(member):
        found = measure_each({one.kind: _limit(one, member) for one in _SOURCES})
    return [_line(one, found[one.kind]) for one in _SOURCES if found[one.kind].count]


def _limit(source: _Source, member: User) -> WaitingQuery:
    """Let the query find nothing for a member without the permission."""
    query = source.query()
    if not source.permission:
        return query
    allowed, values = ModelBackend().with_perm(source.permission).filter(pk=member.pk).query.sql_with_params()
    return WaitingQuery(
        f"SELECT * FROM ({query.sql}) AS limited WHERE EXISTS ({allowed})",  # noqa: S608 -- our own text
        (*query.values, *values),
    )


def _line(source: _Source, waiting: Waiting) -> WaitingLine:
    path = reverse(source.page) + source.filters
    return WaitingLine(source.kind, waiting.count, source.words(waiting.count), waiting.oldest, path)


_SOURCES = (
    _Source(
        "alerts",
        alerts_waiting,
        lambda count: ngettext("alert that nobody has taken on", "alerts that nobody has taken on", count),
        "admin:rollout_control_room",
        permission="rollout.view",
    ),
    _Source(
        "reports",
        lambda: REPORTS_WAITING,
        lambda count: ngettext("report to look at", "reports to look at", count),
        "admin:moderation_report_changelist",
    ),
    _Source(
        "applicants",
        applicants_waiting,
        lambda count: ngettext("person who waits to join", "people who wait to join", count),
        "admin:applicants",
    ),
    _Source(
        "messages",
        messages_waiting,
        lambda count: ngettext("message to staff to answer", "messages to staff to answer", count),
        "admin:contact_contactmessage_changelist",
    ),
    _Source(
        "requests",
        lambda: UNANSWERED,
        lambda count: ngettext(
            "request that nobody has answered for a day", "requests that nobody has answered for a day", count
        ),
        "admin:staff_unanswered",
    ),
    _Source(
        "mail",
        dead_letters,
        lambda count: ngettext("mail that could not be sent", "mails that could not be sent", count),
        "admin:mail_outgoingmail_changelist",
        filters=f"?state__exact={MailState.DEAD}",
    ),
)
