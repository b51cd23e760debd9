"""Reporting a message, and settling what was reported. Staff see what was reported and nothing besides."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp, acting_as, fetch_all
from carecollective.core.errors import DomainNotFound, InvalidInput, NotPermitted, ValidationRefused
from carecollective.core.text import normalise
from carecollective.moderation.models import WORDS_MAX, Outcome, Reason, Report
from carecollective.moderation.selectors import message_to_report, messages_shown


class AlreadySettled(InvalidInput):
    message = _("This report has been settled already.")


def report_message(*, actor: User, conversation_id: UUID, message_id: UUID | None, reason: Any, words: Any) -> Report:
    """Report a message of a conversation that the actor takes part in; None is the first message of a V2 conversation.

    Reporting the same message twice is once. Raises ConversationNotFound; MessageNotFound; OwnMessage; ValidationRefused
    naming `reason` or `words`.
    """
    refused: dict[str, list[Any]] = {}
    if reason not in Reason.values:
        refused["reason"] = [_("Please choose what is wrong with the message.")]
    text = ""
    try:
        text = normalise(words if words is not None else "", field="words")
    except ValidationRefused as refusal:
        refused |= refusal.fields
    if len(text) > WORDS_MAX:
        refused["words"] = [_("Please shorten this to %(longest)d characters.") % {"longest": WORDS_MAX}]
    with acting_as(actor):
        message = message_to_report(reader=actor, conversation_id=conversation_id, message_id=message_id)
        if refused:
            raise ValidationRefused(refused)
        report, _is_new = Report.objects.get_or_create(
            reporter=actor,
            conversation_id=conversation_id,
            message_id=message_id,
            defaults={"version": message.version, "author_id": message.author_id, "reason": reason, "words": text},
        )
        return report


def note_look(*, actor: User, report_id: UUID) -> int:
    """Write down that staff look at a reported message; return the look, by which it is then shown to them.

    Raises NotPermitted unless the actor is staff; DomainNotFound, also for a message that is gone.
    """
    if not (actor.is_staff and actor.is_active):
        raise NotPermitted
    with acting_as(actor):
        ((look,),) = fetch_all("SELECT public.moderation_note_look(%s)", [report_id])
        if look is None or not messages_shown(reader=actor, report_id=report_id, look=look):
            raise DomainNotFound
        return int(look)


def settle_report(*, actor: User, report_id: UUID, outcome: Any) -> Report:
    """Say what came of a report.

    Raises NotPermitted unless the actor is staff, and for a report about their own message; DomainNotFound; AlreadySettled;
    ValidationRefused.
    """
    if not (actor.is_staff and actor.is_active):
        raise NotPermitted
    if outcome not in Outcome.values or outcome == Outcome.PENDING:
        raise ValidationRefused({"outcome": [_("Please choose what came of it.")]})
    with acting_as(actor):
        report = Report.objects.select_for_update(of=("self",), no_key=True).filter(pk=report_id).first()
        if report is None:
            raise DomainNotFound
        if report.author_id == actor.pk:
            raise NotPermitted
        if report.status != Outcome.PENDING:
            raise AlreadySettled
        Report.objects.filter(pk=report.pk).update(status=outcome, settled_by=actor, settled_at=ClockTimestamp())
        report.refresh_from_db()
        return report
