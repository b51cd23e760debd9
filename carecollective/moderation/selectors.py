"""Read reports. Staff read reported messages through database functions, which check and record each access."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
from carecollective.inbox.selectors import locate
from carecollective.messaging.errors import MessageNotFound
from carecollective.moderation.models import ReportAccess, ReportOutcome, ReportReason
from rollout.versions import MessagingVersion

REPORTS_PER_PAGE = 50
_REPORTS = """
SELECT *, (SELECT count(*) FROM public.moderation_look AS access WHERE access.report_id = report.id)
FROM (
  SELECT id, false AS is_legacy, version, reporter_id, author_id, reason, words, status, created_at
  FROM public.moderation_report
  UNION ALL
  SELECT id, true, 'v1', reporter_id, author_id, reason, words, status, created_at
  FROM public.moderation_legacy_reports()) AS report
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
class ReportSummary:
    """A report without the reported message."""

    id: UUID
    is_legacy: bool
    version: MessagingVersion
    reporter: str
    author: str
    reason: str
    words: str
    status: str
    is_waiting: bool
    created_at: datetime
    access_count: int


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
    if row is None:
        raise MessageNotFound
    if row[0] == reader.pk:
        raise OwnMessage
    author_id, author, content, created_at = row
    return ReportedMessage(version, author_id, author, content or "", created_at)


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
    names = _names([person for row in found for person in (row[3], row[4])])
    return [
        ReportSummary(
            id=row[0],
            is_legacy=row[1],
            version=MessagingVersion(row[2]),
            reporter=names.get(row[3], ""),
            author=_author(row[4], names),
            reason=str(ReportReason(row[5]).label) if row[5] in ReportReason.values else row[5],
            words=row[6],
            status=str(ReportOutcome(row[7]).label) if row[7] in ReportOutcome.values else row[7],
            is_waiting=row[7] == ReportOutcome.PENDING,
            created_at=row[8],
            access_count=row[9],
        )
        for row in found
    ]


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
    return names.get(author_id, "") if author_id else "Care Collective"
