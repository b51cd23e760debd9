"""Report a message; reveal it to staff; settle the report."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import require_staff
from carecollective.core.database import ClockTimestamp, acting_as, fetch_all
from carecollective.core.errors import DomainNotFound, InvalidInput, NotPermitted, ValidationRefused
from carecollective.core.text import read_text
from carecollective.mail.queue import queue_mail
from carecollective.moderation.models import WORDS_MAX, Report, ReportAbout, ReportOutcome, ReportReason
from carecollective.moderation.selectors import (
    get_reportable_member,
    get_reportable_message,
    list_revealed_messages,
)

REPORT_SETTLED = "report_settled"


class AlreadySettled(InvalidInput):
    message = _("This report has been settled already.")


def report_message(*, actor: User, conversation_id: UUID, message_id: UUID | None, reason: Any, words: Any) -> Report:
    """Report a message of one of the actor's conversations. A second report of it returns the first.

    `message_id` is None for the first message of a V2 conversation. Raises ConversationNotFound; MessageNotFound; OwnMessage;
    ValidationRefused naming `reason` or `words`.
    """
    refused, text = _read(reason, words)
    with acting_as(actor):
        message = get_reportable_message(reader=actor, conversation_id=conversation_id, message_id=message_id)
        if refused:
            raise ValidationRefused(refused)
        report, _is_new = Report.objects.get_or_create(
            reporter=actor,
            about=ReportAbout.MESSAGE,
            author_id=message.author_id,
            conversation_id=conversation_id,
            message_id=message_id,
            help_request=None,
            defaults={"version": message.version, "reason": reason, "words": text},
        )
        return report


def report_member(
    *,
    actor: User,
    conversation_id: UUID | None = None,
    help_request_id: UUID | None = None,
    reason: Any,
    words: Any,
) -> Report:
    """Report a person: the other of a conversation, or the owner of a request. A second report of them there returns the first.

    Raises what `get_reportable_member` raises; ValidationRefused naming `reason` or `words`.
    """
    refused, text = _read(reason, words)
    with acting_as(actor):
        person = get_reportable_member(reader=actor, conversation_id=conversation_id, help_request_id=help_request_id)
        if refused:
            raise ValidationRefused(refused)
        report, _is_new = Report.objects.get_or_create(
            reporter=actor,
            about=ReportAbout.MEMBER,
            author_id=person.id,
            conversation_id=person.conversation_id,
            message_id=None,
            help_request_id=person.help_request_id,
            defaults={"version": person.version, "reason": reason, "words": text},
        )
        return report


def reveal_report(*, actor: User, report_id: UUID) -> int:
    """Record that staff access a reported message. Returns the id of the access, with which the message is shown.

    Raises NotPermitted unless the actor is staff; DomainNotFound, also for a message that is gone.
    """
    require_staff(actor)
    with acting_as(actor):
        ((access,),) = fetch_all("SELECT public.moderation_note_look(%s)", [report_id])
        if access is None or not list_revealed_messages(reader=actor, report_id=report_id, access=access):
            raise DomainNotFound
        return int(access)


def settle_report(*, actor: User, report_id: UUID, outcome: Any) -> Report:
    """Record the outcome of a report.

    Raises NotPermitted unless the actor is staff, and for a report about their own message; DomainNotFound; AlreadySettled;
    ValidationRefused.
    """
    require_staff(actor)
    if outcome not in ReportOutcome.values or outcome == ReportOutcome.PENDING:
        raise ValidationRefused({"outcome": [_("Please choose what came of it.")]})
    with acting_as(actor):
        report = Report.objects.select_for_update(of=("self",), no_key=True).filter(pk=report_id).first()
        if report is None:
            raise DomainNotFound
        if report.author_id == actor.pk:
            raise NotPermitted
        if report.status != ReportOutcome.PENDING:
            raise AlreadySettled
        Report.objects.filter(pk=report.pk).update(status=outcome, settled_by=actor, settled_at=ClockTimestamp())
        report.refresh_from_db()
        queue_mail(REPORT_SETTLED, report.reporter_id, reference=str(report.pk))
        return report


def _read(reason: Any, words: Any) -> tuple[dict[str, list[Any]], str]:
    refused: dict[str, list[Any]] = {}
    if reason not in ReportReason.values:
        refused["reason"] = [_("Please choose what is wrong.")]
    return refused, read_text(words if words is not None else "", field="words", longest=WORDS_MAX, refused=refused)
