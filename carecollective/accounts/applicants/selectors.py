"""Read who waits to join."""

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from carecollective.accounts.models import User, VerificationStatus
from carecollective.core.waiting import Waiting, measure_waiting


def read_applicants_waiting() -> Waiting:
    """Measure the applicants who wait for staff, and not for the mail with their code."""
    applicants = _select_applicants()
    # On a site that sends no mail nobody can confirm an address.
    return measure_waiting(applicants.filter(_has_confirmed()) if settings.SENDS_MAIL else applicants)


def _select_applicants() -> QuerySet[User]:
    return User.objects.filter(verification_status=VerificationStatus.PENDING, is_active=True).exclude(email=None)


def _has_confirmed() -> Exists:
    return Exists(EmailAddress.objects.filter(user_id=OuterRef("pk"), email=OuterRef("email"), verified=True))
