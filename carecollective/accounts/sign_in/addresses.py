"""A member's e-mail address: whether it is confirmed, and how it is changed."""

from typing import Any

from allauth.account.internal.flows.email_verification_by_code import EmailVerificationProcess
from allauth.account.models import EmailAddress
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.core.errors import ValidationRefused
from carecollective.core.rate_limits import count_client_use, mails_asked_for
from carecollective.core.text import EMAIL_MAX, can_be_kept


def clean_address(value: Any, refused: dict[str, list[Any]]) -> str:
    """Return an address in the spelling that members are stored with; add to `refused` what is wrong with it."""
    email = str(value).strip().lower()
    try:
        MaxLengthValidator(EMAIL_MAX)(email)
        validate_email(email)
    except ValidationError:
        refused["email"] = [_("Please check your e-mail address.")]
    return email


def is_confirmed(member: User) -> bool:
    """Tell whether the member has shown that mail to their address reaches them."""
    return bool(EmailAddress.objects.filter(user_id=member.pk, email=member.email, verified=True).exists())


def send_code(*, request: HttpRequest, member: User) -> None:
    """Send a code to the member's own address; this browser asks for it. Raises RateLimitExceeded."""
    count_client_use(request=request, limit=mails_asked_for())
    EmailVerificationProcess.initiate(request=request, user=member, email=str(member.email))


def start_change(*, request: HttpRequest, actor: User, email: Any, password: Any) -> None:
    """Send a code to a new address, which is the member's once they have typed the code.

    An address of another member is refused only then: nobody learns here who is a member. Raises ValidationRefused;
    RateLimitExceeded.
    """
    refused: dict[str, list[Any]] = {}
    address = clean_address(email, refused)
    if not refused and address == actor.email:
        refused["email"] = [_("This is your address already.")]
    if refused:
        raise ValidationRefused(refused)
    is_text = isinstance(password, str) and password and can_be_kept(password)
    if not is_text or authenticate(request, username=actor.email, password=password) != actor:
        raise ValidationRefused({"password": [_("This is not your password. Nothing was changed.")]})
    count_client_use(request=request, limit=mails_asked_for())
    EmailVerificationProcess.initiate(request=request, user=actor, email=address)
