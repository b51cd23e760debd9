"""Root causes: the form that the database opens with each rollback, and that a person files once."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

from django.utils.dateparse import parse_date

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp, fetch_all
from carecollective.core.errors import NotPermitted, ValidationRefused
from rollout.errors import RootCauseFiled, RootCauseNotFound
from rollout.models import Change, RootCause
from rollout.plain import record_from

SHORTEST, LONGEST = 3, 2000


@dataclass(frozen=True, slots=True)
class RootCauseRecord:
    """The form that a rollback opens. The five answers are empty until it is filed."""

    api_name: ClassVar = "RootCause"
    id: int
    from_stage: str
    rolled_back_at: datetime
    rolled_back_by: str
    rollback_reason: str
    what: str
    why: str
    fix: str
    who: str
    due: date | None
    filed_by: str
    filed_at: datetime | None


def file_root_cause(
    *, actor: User, root_cause_id: int, what: str, why: str, fix: str, who: str, due: date | str
) -> RootCauseRecord:
    """File what happened, why, what will be done about it, by whom and until when.

    Raises NotPermitted without `rollout.rollback`; ValidationRefused naming each answer that is missing, or a day that
    is over; RootCauseNotFound; RootCauseFiled.
    """
    if not actor.has_perm("rollout.rollback"):
        raise NotPermitted
    answers = {"what": what, "why": why, "fix": fix, "who": who}
    cleaned = {name: answer.replace("\r\n", "\n").strip() for name, answer in answers.items()}
    refused = {
        name: ["Say it in 3 to 2,000 characters."]
        for name, answer in cleaned.items()
        if not SHORTEST <= len(answer) <= LONGEST or "\0" in answer
    }
    until = due if isinstance(due, date) else _parse(due)
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    if until is None:
        refused["due"] = [f"Give a date, such as {first_due(now)}."]
    elif until < first_due(now):
        refused["due"] = ["Give a day after today."]
    if refused:
        raise ValidationRefused(fields=refused)
    # Of two who file at once, the condition lets only one through.
    filed = RootCause.objects.filter(pk=root_cause_id, filed_at=None).update(
        **cleaned, due=until, filed_by_id=actor.pk, filed_by_label=str(actor), filed_at=ClockTimestamp()
    )
    form = RootCause.objects.filter(pk=root_cause_id).first()
    if form is None:
        raise RootCauseNotFound
    if not filed:
        raise RootCauseFiled
    return _with_changes([form])[0]


def first_due(now: datetime) -> date:
    """Return the earliest day that may be promised: tomorrow."""
    return (now.astimezone(UTC) + timedelta(days=1)).date()


def list_due() -> tuple[RootCauseRecord, ...]:
    """List the forms that are not filed yet, the latest rollback first."""
    return _with_changes(list(RootCause.objects.filter(filed_at=None)))


def list_filed(limit: int = 50) -> tuple[RootCauseRecord, ...]:
    """List the filed forms, the latest first."""
    return _with_changes(list(RootCause.objects.exclude(filed_at=None).order_by("-filed_at", "-pk")[:limit]))


def _with_changes(forms: list[RootCause]) -> tuple[RootCauseRecord, ...]:
    changes = Change.objects.in_bulk([form.change_id for form in forms])
    return tuple(
        record_from(
            form,
            RootCauseRecord,
            from_stage=change.from_stage or "",
            rolled_back_at=change.at,
            rolled_back_by=change.actor_label,
            rollback_reason=change.reason,
            filed_by=form.filed_by_label,
        )
        for form in forms
        if (change := changes[form.change_id])
    )


def _parse(text: str) -> date | None:
    try:
        return parse_date(text.strip())
    except ValueError:
        return None
