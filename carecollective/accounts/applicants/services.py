"""Decide about applicants. Of two members of staff, the first decides and the second hears it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User, VerificationStatus
from carecollective.accounts.services import approve_member, get_member_managed_by, reject_member, require_staff
from carecollective.core.errors import DomainError, InvalidInput, ValidationRefused


class AlreadyDecided(InvalidInput):
    """Somebody else has decided about this applicant."""

    def __init__(self, member: User, by: User | None) -> None:
        if member.is_approved:
            said = _("%(by)s approved them already.") if by else _("They are approved already.")
        else:
            said = _("%(by)s decided already not to approve them.") if by else _("They were not approved.")
        super().__init__(said % {"by": by.name} if by else said)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Who was decided about, by name; and who was not, with the reason."""

    done: Sequence[str]
    refused: Sequence[tuple[UUID, str, DomainError]]


def decide_applications(*, actor: User, member_ids: Sequence[UUID], approves: bool, reason: Any = "") -> Decisions:
    """Decide about each of these applicants. If one is refused, the others are still decided.

    Raises NotPermitted unless the actor is staff; ValidationRefused without any applicant, or naming `reason`.
    """
    require_staff(actor)
    if not member_ids:
        raise ValidationRefused({"": [_("Please tick at least one person.")]})
    if not approves and not str(reason).strip():
        raise ValidationRefused({"reason": [_("Please say why. They read it in the mail that we send them.")]})
    names = dict(User.objects.filter(pk__in=member_ids).values_list("pk", "name"))
    done, refused = [], []
    for member_id in member_ids:
        try:
            decide_application(actor=actor, member_id=member_id, approves=approves, reason=reason)
        except ValidationRefused:
            raise  # the reason cannot be taken, for nobody
        except DomainError as refusal:
            refused.append((member_id, names.get(member_id, ""), refusal))
        else:
            done.append(names[member_id])
    return Decisions(done, refused)


@transaction.atomic
def decide_application(*, actor: User, member_id: UUID, approves: bool, reason: Any = "") -> None:
    """Approve an applicant, or not, with an entry in the admin's log. The same again by the same person changes nothing.

    Raises AlreadyDecided; and what `approve_member` and `reject_member` raise.
    """
    applicant = _lock(actor, member_id)
    if applicant.verification_status != VerificationStatus.PENDING:
        decided_by = _who_decided(applicant)
        if applicant.verification_status == _decision(approves) and decided_by == actor:
            return
        raise AlreadyDecided(applicant, decided_by)
    _decide(actor, applicant, approves, reason)


@transaction.atomic
def change_decision(*, actor: User, member_id: UUID, approves: bool, reason: Any = "") -> User | None:
    """Decide about a member again, with an entry in the admin's log. Return the colleague who had decided otherwise.

    Raises what `approve_member` and `reject_member` raise.
    """
    member = _lock(actor, member_id)
    differs = member.verification_status not in (VerificationStatus.PENDING, _decision(approves))
    decided_by = _who_decided(member) if differs else None
    _decide(actor, member, approves, reason)
    return None if decided_by == actor else decided_by


def _lock(actor: User, member_id: UUID) -> User:
    get_member_managed_by(actor, member_id)
    return User.objects.select_for_update(of=("self",), no_key=True).get(pk=member_id)


def _decision(approves: bool) -> VerificationStatus:
    return VerificationStatus.APPROVED if approves else VerificationStatus.REJECTED


def _decide(actor: User, member: User, approves: bool, reason: Any) -> None:
    if approves:
        approve_member(actor=actor, member_id=member.pk)
    else:
        reject_member(actor=actor, member_id=member.pk, reason=reason)
    LogEntry.objects.create(
        user=actor,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(member.pk),
        object_repr=member.name[:200],
        action_flag=CHANGE,
        change_message=str(_decision(approves).label),
    )


def _who_decided(member: User) -> User | None:
    """Return who approved or rejected a member, as far as the admin's log knows."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(member.pk),
        change_message=str(VerificationStatus(member.verification_status).label),
    )
    latest = entries.select_related("user").order_by("-action_time", "-pk").first()
    return latest.user if latest else member.approved_by
