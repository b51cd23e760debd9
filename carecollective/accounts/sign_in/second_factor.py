"""The second factor: who has one, and whether this session was begun with it. Staff may be required to have one."""

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.core.errors import DomainNotFound, ValidationRefused

REQUIRED = "required"


def has_second_factor(member: User) -> bool:
    """Tell whether a password alone does not sign this member in. Recovery codes alone are none."""
    factors = Authenticator.objects.filter(user_id=member.pk).exclude(type=Authenticator.Type.RECOVERY_CODES)
    return bool(factors.exists())


def needs_second_factor(member: User) -> bool:
    """Tell whether a password alone must not open this account."""
    return (member.is_staff and settings.STAFF_MFA == REQUIRED) or has_second_factor(member)


def lacks_second_factor(request: HttpRequest) -> bool:
    """Tell whether the staff site is closed to this session: a second factor is required, and it was begun without."""
    if settings.STAFF_MFA != REQUIRED:
        return False
    return not any(record["method"] == "mfa" for record in get_authentication_records(request, request.user))


@transaction.atomic
def reset_second_factor(*, email: str, reason: str) -> User:
    """Remove all second factors of a member who lost theirs. Only for the operator's command; the admin's log has the reason.

    Raises DomainNotFound; ValidationRefused without a reason.
    """
    member = User.objects.filter(email=email.strip().lower()).first()
    if member is None:
        raise DomainNotFound(_("No member has this address."))
    if not reason.strip():
        raise ValidationRefused({"reason": [_("Please give a reason: it goes into the log.")]})
    Authenticator.objects.filter(user_id=member.pk).delete()
    LogEntry.objects.create(
        user=member,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(member.pk),
        object_repr=member.name[:200],
        action_flag=CHANGE,
        change_message=f"Second factor reset at the command line: {reason.strip()}",
    )
    return member
