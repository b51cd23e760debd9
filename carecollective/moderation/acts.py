"""What staff do about a member after a report, and how they undo it. Each act is recorded, and told to the member."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import get_member_managed_by, note_unseen_notice, require_staff
from carecollective.core.database import ClockTimestamp, acting_as
from carecollective.core.errors import DomainNotFound, InvalidInput, NotPermitted, ValidationRefused
from carecollective.core.text import read_text
from carecollective.mail.queue import queue_mail
from carecollective.moderation.models import WORDS_MAX, Act, ActKind, ReportAbout, ReportOutcome
from carecollective.moderation.selectors import ReportSummary, find_report
from carecollective.moderation.services import settle_report
from carecollective.safety.models import HiddenMessage, Restriction, RestrictionKind

NOTICE = "moderation_notice"
DAYS = (1, 3, 7, 30, 90)
DAILY_LIMIT_MAX = 100
# What the form offers: an act, or a restriction of a kind.
CHOICES = (
    (ActKind.HIDE, ActKind.HIDE.label),
    (ActKind.WARN, ActKind.WARN.label),
    *((kind.value, _("Restrict: %(what)s") % {"what": kind.label}) for kind in RestrictionKind),
    (ActKind.DEACTIVATE, ActKind.DEACTIVATE.label),
)


class AlreadyDone(InvalidInput):
    message = _("This has been done already.")


class NothingToAct(InvalidInput):
    message = _("This cannot be done here: the report names no member of ours, or no message that can be hidden.")


def act_on_report(
    *,
    actor: User,
    report_id: UUID,
    choice: Any,
    reason: Any,
    words: Any = "",
    days: Any = None,
    daily_limit: Any = None,
) -> Act:
    """Do what staff chose about the member whom a report is about, and settle the report if it waits.

    `choice` is one of CHOICES; `reason` is for staff, `words` for the member. Raises NotPermitted unless the actor is staff and
    may manage the member, and for oneself; DomainNotFound; ValidationRefused; NothingToAct; AlreadyDone.
    """
    require_staff(actor)
    refused: dict[str, list[Any]] = {}
    if choice not in {value for value, _label in CHOICES}:
        refused["choice"] = [_("Please choose what to do.")]
    given = {"reason": _reason(reason, refused), "words": _text("words", words, refused)}
    limits = _limits(choice, days, daily_limit, refused)
    if refused:
        raise ValidationRefused(refused)
    with acting_as(actor):
        report = find_report(reader=actor, report_id=report_id)
        member = _member_of(report, actor)
        kind = ActKind.RESTRICT if choice in RestrictionKind.values else ActKind(choice)
        done = _do(kind, report, member, choice, limits)
        act = Act.objects.create(kind=kind, member=member, report_id=report_id, staff=actor, **given, **done)
        if report.is_waiting and not report.is_legacy:
            settle_report(actor=actor, report_id=report_id, outcome=ReportOutcome.ACTION_TAKEN)
        _tell(member, act)
        return act


def undo_act(*, actor: User, act_id: UUID, reason: Any) -> Act:
    """Undo an act: restore the message, lift the restriction, let the member in again, or take the warning back.

    Raises NotPermitted unless the actor is staff and may manage the member; DomainNotFound; ValidationRefused; AlreadyDone.
    """
    require_staff(actor)
    refused: dict[str, list[Any]] = {}
    why = _reason(reason, refused)
    if refused:
        raise ValidationRefused(refused)
    with acting_as(actor):
        act = Act.objects.select_for_update(of=("self",), no_key=True).filter(pk=act_id).first()
        if act is None:
            raise DomainNotFound
        member = get_member_managed_by(actor, act.member_id)
        if act.undone_at is not None:
            raise AlreadyDone
        match ActKind(act.kind):
            case ActKind.HIDE:
                hidden: dict[str, Any] = {"conversation_id": act.conversation_id, "message_id": act.message_id}
                HiddenMessage.objects.filter(**hidden).delete()
            case ActKind.RESTRICT if act.restriction:
                Restriction.objects.filter(pk=act.restriction.pk).update(lifted_at=ClockTimestamp())
            case ActKind.DEACTIVATE:
                member.is_active = True
                member.save(update_fields=["is_active"])
            case _:  # a warning: its words are taken back, and that is all
                pass
        Act.objects.filter(pk=act.pk).update(undone_by=actor, undone_at=ClockTimestamp(), undone_reason=why)
        _tell(member, act)
        act.refresh_from_db()
        return act


def _tell(member: User, act: Act) -> None:
    note_unseen_notice(member.pk)
    queue_mail(NOTICE, member.pk, reference=str(act.pk))


def _member_of(report: ReportSummary, actor: User) -> User:
    if report.author_id is None:
        raise NothingToAct
    if report.author_id == actor.pk:
        raise NotPermitted(_("Nobody decides about themselves. Please ask another member of staff."))
    return get_member_managed_by(actor, report.author_id)


def _do(kind: ActKind, report: ReportSummary, member: User, choice: str, limits: dict[str, int]) -> dict[str, Any]:
    match kind:
        case ActKind.HIDE:
            if report.about != ReportAbout.MESSAGE:
                raise NothingToAct
            place: dict[str, Any] = {"conversation_id": report.conversation_id, "message_id": report.message_id}
            _hidden, is_new = HiddenMessage.objects.get_or_create(**place)
            if not is_new:
                raise AlreadyDone
            return place
        case ActKind.RESTRICT:
            until = ClockTimestamp() + timedelta(days=limits["days"])
            made = Restriction.objects.create(
                member=member, kind=choice, daily_limit=limits.get("daily_limit"), until=until
            )
            return {"restriction": made}
        case ActKind.DEACTIVATE:
            if not member.is_active:
                raise AlreadyDone
            member.is_active = False
            member.save(update_fields=["is_active"])
            return {}
        case ActKind.WARN:  # pragma: no branch
            return {}


def _limits(choice: Any, days: Any, daily_limit: Any, refused: dict[str, list[Any]]) -> dict[str, int]:
    limits = {}
    if choice in RestrictionKind.values:
        if str(days) not in map(str, DAYS):
            refused["days"] = [_("Please choose for how long.")]
        else:
            limits["days"] = int(days)
    if choice == RestrictionKind.DAILY_LIMIT:
        text = str(daily_limit)
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= DAILY_LIMIT_MAX):
            refused["daily_limit"] = [_("Please give a number from 1 to %(most)d.") % {"most": DAILY_LIMIT_MAX}]
        else:
            limits["daily_limit"] = int(text)
    return limits


def _reason(reason: Any, refused: dict[str, list[Any]]) -> str:
    text = _text("reason", reason, refused)
    if not text and "reason" not in refused:
        refused["reason"] = [_("Please say why, for other staff and for later.")]
    return text


def _text(field: str, value: Any, refused: dict[str, list[Any]]) -> str:
    return read_text(value if value is not None else "", field=field, longest=WORDS_MAX, refused=refused)
