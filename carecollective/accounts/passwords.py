"""A new password: staff have a link sent to the member's own address, and the member alone chooses.

Nobody sets a password for somebody else, because whoever could would be able to act in their name.
"""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import member_in_care_of
from carecollective.core.errors import DomainError, InvalidInput, ValidationRefused
from carecollective.core.text import can_be_kept


class LinkIsOver(InvalidInput):
    message = _("This link has been used already, or it is too old. Please ask staff for a new one.")


class NoAddress(DomainError):
    code = "invalid_input"
    status = 400
    message = _("This member cannot sign in, or has no e-mail address: there is nowhere to send a link to.")


def send_password_link(*, actor: User, member_id: UUID, page: str) -> None:
    """Send the member a link to `page`, the full address at which a password is chosen.

    Raises NotPermitted unless the actor is staff, and for members of staff unless they are an administrator; DomainNotFound;
    NoAddress; OSError when the mail server does not take it.
    """
    member = member_in_care_of(actor, member_id)
    if not (member.is_active and member.email):
        raise NoAddress()
    link = f"{page}?{urlencode({'account': str(member.pk), 'token': default_token_generator.make_token(member)})}"
    words = {"member": member, "link": link, "days": settings.PASSWORD_RESET_TIMEOUT // 86_400}
    send_mail(
        _("Choose a new password for Care Collective"),
        render_to_string("accounts/email/password.txt", words),
        None,
        [member.email],
    )


def link_holds(*, account: Any, token: Any) -> bool:
    """Tell whether a link that was sent can still be used."""
    return _holder(User.objects.all(), account, token) is not None


@transaction.atomic
def choose_password(*, account: Any, token: Any, password: Any) -> None:
    """Take the new password of whoever holds the link. It ends their sessions and tokens, and a lock at the door.

    Raises LinkIsOver; ValidationRefused naming `password`.
    """
    holder = _holder(User.objects.select_for_update(no_key=True), account, token)
    if holder is None:
        raise LinkIsOver()
    if not can_be_kept(str(password)):
        raise ValidationRefused({"password": [_("This password holds a character that cannot be used.")]})
    try:
        validate_password(str(password), user=holder)
    except ValidationError as error:
        raise ValidationRefused({"password": list(error.messages)}) from None
    holder.set_password(str(password))
    holder.save(update_fields=["password"])
    AccessAttempt.objects.filter(username=holder.email).delete()


def _holder(members: Any, account: Any, token: Any) -> User | None:
    try:
        found: User | None = members.filter(pk=UUID(str(account)), is_active=True).first()
    except ValueError:
        return None
    return found if found is not None and default_token_generator.check_token(found, str(token)) else None
