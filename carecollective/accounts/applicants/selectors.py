"""Read who waits to join."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from carecollective.accounts.models import User, VerificationStatus
from carecollective.accounts.services import require_staff
from carecollective.core.waiting import WaitingQuery, when_they_came

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Applicant:
    """What staff read to decide about an applicant. `can_be_approved`: confirmed, or nobody can confirm on this site."""

    id: UUID
    name: str
    email: str
    town: str
    reason: str
    since: datetime
    is_confirmed: bool
    can_be_approved: bool


def list_applicants(*, reader: User) -> Sequence[Applicant]:
    """Return the 50 applicants who have waited longest, those who can be approved first.

    Raises NotPermitted unless the reader is staff.
    """
    require_staff(reader)
    applicants = _select_applicants().annotate(is_confirmed=_has_confirmed())
    order = ("-is_confirmed", "created_at", "pk") if settings.SENDS_MAIL else ("created_at", "pk")
    return [
        Applicant(
            id=one.pk,
            name=one.name,
            email=one.email or "",
            town=one.location or "",
            reason=one.application_reason or "",
            since=one.created_at,
            is_confirmed=one.is_confirmed,
            can_be_approved=one.is_confirmed or not settings.SENDS_MAIL,
        )
        for one in applicants.order_by(*order)[:SHOWN]
    ]


def applicants_waiting() -> WaitingQuery:
    """Ask for the applicants who wait for staff, and not for the mail with their code."""
    applicants = _select_applicants()
    # On a site that sends no mail nobody can confirm an address.
    return when_they_came(applicants.filter(_has_confirmed()) if settings.SENDS_MAIL else applicants)


def _select_applicants() -> QuerySet[User]:
    return User.objects.filter(verification_status=VerificationStatus.PENDING, is_active=True).exclude(email=None)


def _has_confirmed() -> Exists:
    return Exists(EmailAddress.objects.filter(user_id=OuterRef("pk"), email=OuterRef("email"), verified=True))
