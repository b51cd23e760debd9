"""Read reports. Staff read reported messages through database functions, which check and record each access."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

import messaging_v1.models as v1
import messaging_v2.models as v2
from carecollective.accounts.models import User
from carecollective.accounts.services import require_staff
from carecollective.core.database import acting_as, fetch_all
from carecollective.core.errors import DomainNotFound, InvalidInput
from carecollective.core.text import SITE_NAME
from carecollective.core.waiting import Waiting, WaitingQuery, measure_waiting
from carecollective.help_requests.errors import HelpRequestNotFound
from carecollective.help_requests.selectors import find_request
from carecollective.inbox.selectors import locate, open_thread
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from carecollective.moderation.models import Act, ReportAbout, ReportAccess, ReportOutcome, ReportReason
from carecollective.safety.models import HiddenMessage
from rollout.versions import MessagingVersion

REPORTS_PER_PAGE = 50
NOTICE_SHOWN = timedelta(days=30)
_REPORTS = """
SELECT *, (SELECT count(*) FROM public.moderation_look AS access WHERE access.report_id = report.id)
FROM (
  SELECT id, false AS is_legacy, about, version, reporter_id, author_id, reason, words, status, created_at, conversation_id,
         message_id, help_request_id
  FROM public.moderation_report
  UNION ALL
  SELECT id, true, 'message', 'v1', reporter_id, author_id, reason, words, status, created_at, conversation_id, message_id,
         NULL
  FROM public.moderation_legacy_reports()) AS report
"""
REPORTS_WAITING = WaitingQuery("""
SELECT created_at FROM public.moderation_report WHERE status = 'pending'
UNION ALL
SELECT created_at FROM public.moderation_legacy_reports() WHERE status = 'pending'
""")
_NOTICES = """
SELECT kind, words, at, restriction, daily_limit, until, undone_at,
       coalesce(until > clock_timestamp(), true) AND undone_at IS NULL
FROM public.moderation_notices()
"""


class OwnMessage(InvalidInput):
    message = _("This message is your own.")


@dataclass(frozen=True, slots=True)
class ReportedMessage:
    """The message that a member is about to report."""

    version: MessagingVersion
    author_id: UUID
    author: str
    content: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReportedMember:
    """The person whom a member is about to report, and where they met."""

    id: UUID
    name: str
    version: MessagingVersion | None
    conversation_id: UUID | None
    help_request_id: UUID | None


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """A report without the reported message."""

    id: UUID
    is_legacy: bool
    about: ReportAbout
    version: MessagingVersion | None
    author_id: UUID | None
    conversation_id: UUID | None
    message_id: UUID | None
    help_request_id: UUID | None
    reporter: str
    author: str
    reason: str
    words: str
    status: str
    is_waiting: bool
    created_at: datetime
    access_count: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What staff did about a member, as the member is told."""

    kind: str
    words: str
    at: datetime
    restriction: str | None
    daily_limit: int | None
    until: datetime | None
    undone_at: datetime | None
    holds: bool


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A page of reports, and the numbers of the pages around it."""

    reports: Sequence[ReportSummary]
    previous: int | None
    next: int | None


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """A message around the reported one, which has `place` 0."""

    place: int
    author: str
    content: str
    created_at: datetime


def get_reportable_message(*, reader: User, conversation_id: UUID, message_id: UUID | None) -> ReportedMessage:
    """Return a message that the reader may report. None is the first message of a V2 conversation.

    Raises ConversationNotFound; MessageNotFound when it is not of this conversation or is not shown; OwnMessage.
    """
    with acting_as(reader):
        version = locate(reader=reader, conversation_id=conversation_id, mark_read=False).version
        row: tuple[UUID, str, str | None, datetime | None] | None
        match version:
            case MessagingVersion.V2 if message_id is None:
                openings = v2.Conversation.objects.filter(pk=conversation_id)
                row = openings.values_list("helper_id", "helper__name", "initial_message", "created_at").first()
            case MessagingVersion.V2:
                new = v2.Message.objects.filter(pk=message_id or conversation_id, conversation=conversation_id)
                row = new.values_list("sender_id", "sender__name", "content", "created_at").first()
            case MessagingVersion.V1:  # pragma: no branch
                # What the legacy system wrote by itself, and what is no longer shown, cannot be reported.
                legacy = v1.Message.objects.filter(pk=message_id or conversation_id, conversation=conversation_id)
                shown = legacy.filter(
                    Q(message_type=None) | Q(message_type="text"), deleted_at=None, sender__isnull=False
                )
                shown = shown.exclude(moderation_status__in=v1.Message.WITHHELD_BY_MODERATORS)
                row = shown.values_list("sender_id", "sender__name", "content", "created_at").first()
        # Nor what staff have hidden.
        is_hidden = HiddenMessage.objects.filter(conversation_id=conversation_id, message_id=message_id).exists()
    if row is None or is_hidden:
        raise MessageNotFound
    if row[0] == reader.pk:
        raise OwnMessage
    author_id, author, content, created_at = row
    return ReportedMessage(version, author_id, author, content or "", created_at)


def get_reportable_member(
    *, reader: User, conversation_id: UUID | None = None, help_request_id: UUID | None = None
) -> ReportedMember:
    """Return whom the reader may report: the other of a conversation, or the owner of a request.

    Raises ConversationNotFound, also for a conversation without another; HelpRequestNotFound; OwnMessage for oneself.
    """
    if conversation_id is not None:
        thread = open_thread(reader=reader, conversation_id=conversation_id, mark_read=False)
        if thread.other_participant is None:
            raise ConversationNotFound
        other = thread.other_participant
        return ReportedMember(other.id, other.name, thread.conversation.version, thread.conversation.id, None)
    request = find_request(help_request_id) if help_request_id else None
    if request is None:
        raise HelpRequestNotFound
    if request.user_id == reader.pk:
        raise OwnMessage(_("This request is your own."))
    return ReportedMember(request.user_id, request.user.name, None, None, request.pk)


def list_reports(*, reader: User, page: int = 1) -> ReportPage:
    """Return a page of the reports of both systems: waiting ones first, then the newest.

    Pages count from 1. Raises NotPermitted unless the reader is staff.
    """
    require_staff(reader)
    offset = REPORTS_PER_PAGE * (page - 1)
    ending = "ORDER BY status <> %s, created_at DESC, id DESC LIMIT %s OFFSET %s"
    found = _read_reports(reader, ending, [ReportOutcome.PENDING, REPORTS_PER_PAGE + 1, offset])
    return ReportPage(
        reports=found[:REPORTS_PER_PAGE],
        previous=page - 1 if page > 1 else None,
        next=page + 1 if len(found) > REPORTS_PER_PAGE else None,
    )


def read_reports_waiting(*, reader: User) -> Waiting:
    """Measure the reports of both systems that wait. Raises NotPermitted unless the reader is staff."""
    require_staff(reader)
    with acting_as(reader):
        return measure_waiting(REPORTS_WAITING)


def find_report(*, reader: User, report_id: UUID) -> ReportSummary:
    """Return one report. Raises NotPermitted unless the reader is staff; DomainNotFound."""
    require_staff(reader)
    found = _read_reports(reader, "WHERE id = %s", [report_id])
    if not found:
        raise DomainNotFound
    return found[0]


def _read_reports(reader: User, ending: str, values: Sequence[Any]) -> Sequence[ReportSummary]:
    with acting_as(reader):
        found = fetch_all(_REPORTS + ending, values)
    names = _names([person for row in found for person in (row[4], row[5])])
    return [
        ReportSummary(
            id=row[0],
            is_legacy=row[1],
            about=ReportAbout(row[2]),
            version=MessagingVersion(row[3]) if row[3] else None,
            author_id=row[5],
            conversation_id=row[10],
            message_id=row[11],
            help_request_id=row[12],
            reporter=names.get(row[4], ""),
            author=_author(row[5], names),
            reason=str(ReportReason(row[6]).label) if row[6] in ReportReason.values else row[6],
            words=row[7],
            status=str(ReportOutcome(row[8]).label) if row[8] in ReportOutcome.values else row[8],
            is_waiting=row[8] == ReportOutcome.PENDING,
            created_at=row[9],
            access_count=row[13],
        )
        for row in found
    ]


def list_reports_about(*, reader: User, member_id: UUID) -> Sequence[ReportSummary]:
    """Return the last 50 reports about a member, newest first. Raises NotPermitted unless the reader is staff."""
    require_staff(reader)
    return _read_reports(reader, "WHERE author_id = %s ORDER BY created_at DESC, id DESC LIMIT 50", [member_id])


def list_acts_about(*, reader: User, member_id: UUID) -> Sequence[Act]:
    """Return the last 50 acts of staff about a member, newest first. Raises NotPermitted unless the reader is staff."""
    require_staff(reader)
    with acting_as(reader):
        acts = Act.objects.filter(member=member_id).select_related("staff", "undone_by", "restriction")
        return list(acts.order_by("-at", "-pk")[:50])


def list_notices(*, member: User, lately: bool = True) -> Sequence[Notice]:
    """Return what staff did about the member, newest first; with `lately`, what is news or ended within a month."""
    recent = "NOT %(lately)s OR greatest(at, until, undone_at) > clock_timestamp() - %(shown)s"
    with acting_as(member):
        rows = fetch_all(f"{_NOTICES} WHERE {recent} ORDER BY at DESC, id", {"lately": lately, "shown": NOTICE_SHOWN})
    return [Notice(*row) for row in rows]


def find_notice(*, member: User, act_id: UUID) -> Notice | None:
    """Return one of the acts about the member, as the member is told."""
    with acting_as(member):
        rows = fetch_all(f"{_NOTICES} WHERE id = %s", [act_id])
    return Notice(*rows[0]) if rows else None


def list_accesses(*, reader: User, report_id: UUID) -> Sequence[ReportAccess]:
    """Return the last 50 accesses to a reported message, newest first. Raises NotPermitted unless the reader is staff."""
    require_staff(reader)
    with acting_as(reader):
        accesses = ReportAccess.objects.filter(report_id=report_id).select_related("staff")
        return list(accesses.order_by("-at", "-pk")[:50])


def list_revealed_messages(*, reader: User, report_id: UUID, access: int | None) -> Sequence[ContextMessage]:
    """Return a reported message with up to five before and after it, for ten minutes after the reader's `access`.

    Returns nothing for an access of somebody else. Raises NotPermitted unless the reader is staff.
    """
    require_staff(reader)
    with acting_as(reader):
        rows = fetch_all(
            "SELECT place, sender_id, content, created_at FROM public.moderation_show(%s, %s)", [report_id, access]
        )
    names = _names([row[1] for row in rows])
    return [ContextMessage(row[0], _author(row[1], names), row[2], row[3]) for row in rows]


def _names(members: Sequence[UUID | None]) -> dict[UUID, str]:
    return dict(User.objects.filter(pk__in={member for member in members if member}).values_list("pk", "name"))


def _author(author_id: UUID | None, names: dict[UUID, str]) -> str:
    """Return an author's name; what the legacy system wrote by itself has no author."""
    return names.get(author_id, "") if author_id else SITE_NAME
