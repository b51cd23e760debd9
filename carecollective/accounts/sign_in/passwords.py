"""Passwords: changing one's own, and links to choose a new one. A link goes to the member's own address.

Staff cannot set a member's password, because they could then sign in as the member.
"""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import get_member_managed_by
from carecollective.accounts.sign_in.addresses import clean_address
from carecollective.core.errors import InvalidInput, ValidationRefused
from carecollective.core.rate_limits import count_client_use, count_mailbox_use, mails_asked_for
from carecollective.core.text import can_be_kept
from carecollective.mail.letters import Action, Letter
from carecollective.mail.queue import queue_mail, queue_mail_in_constant_time

LINK_MAIL = "password_link"


class PasswordLinkExpired(InvalidInput):
    message = _(
        "This link has been used already, or it is too old. If you have just chosen a password with it, sign in with "
        "that one. Otherwise ask for a new link."
    )


class NoAddress(InvalidInput):
    message = _("This member cannot sign in, or has no e-mail address: there is nowhere to send a link to.")


class LinkTokens(PasswordResetTokenGenerator):
    """Django's tokens, which a new password or a sign-in ends; being shut out ends them too."""

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.signed_out_at or ''}"


_tokens = LinkTokens()


def send_password_link(*, actor: User, member_id: UUID) -> None:
    """Queue a mail to the member with a link to the page at which a password is chosen.

    Raises NotPermitted unless the actor is staff, and for members of staff unless they are an administrator; DomainNotFound;
    NoAddress.
    """
    member = get_member_managed_by(actor, member_id)
    if not (member.is_active and member.email):
        raise NoAddress
    queue_mail(LINK_MAIL, member.pk)


def request_password_link(*, request: HttpRequest, email: Any) -> None:
    """Queue a mail with a link to who has this address. For any other address, nothing happens in the same time.

    Raises ValidationRefused naming `email`; RateLimitExceeded for each network and each address.
    """
    refused: dict[str, list[Any]] = {}
    address = clean_address(email, refused)
    if refused:
        raise ValidationRefused(refused)
    count_client_use(request=request, limit=mails_asked_for())
    with transaction.atomic():
        count_mailbox_use(address)
        member = User.objects.filter(email=address, is_active=True).first()
        queue_mail_in_constant_time(LINK_MAIL, member.pk if member else None)


def change_password(*, request: HttpRequest, actor: User, old_password: Any, password: Any) -> User:
    """Replace the member's password, who gives the old one, and tell them by mail. Return the member with it.

    It ends their other sessions, their tokens and links. Raises ValidationRefused naming `old_password` or `password`.
    """
    is_text = isinstance(old_password, str) and old_password and can_be_kept(old_password)
    checked = authenticate(request, username=actor.email, password=old_password) if is_text else None
    if not isinstance(checked, User) or checked != actor:
        raise ValidationRefused({"old_password": [_("This is not your password. Nothing was changed.")]})
    _check_new_password(password, checked)
    if not checked.replace_password(str(password)):
        raise ValidationRefused({"old_password": [_("Your account was changed meanwhile. Please sign in again.")]})
    queue_mail("password_changed", checked.pk)
    return checked


def make_password_link(member: User) -> str:
    """Return a link, at the site's own address, with which the member chooses a password once. No table ever holds it."""
    query = urlencode({"account": str(member.pk), "token": _tokens.make_token(member)})
    return f"{settings.SITE_ADDRESS}{reverse('password')}?{query}"


def compose_password_link(member_id: UUID) -> Letter:
    """Write the mail with the link. The token is made now, so that none waits in the queue."""
    member = User.objects.get(pk=member_id)
    days = settings.PASSWORD_RESET_TIMEOUT // 86_400
    return Letter(
        gettext("Choose a new password for Care Collective"),
        [
            gettext("Somebody, probably you, asked for a new password for your account at Care Collective."),
            Action(gettext("Choose a new password"), make_password_link(member)),
            gettext(
                "The link works once, within %(days)d days. If you did not ask for it, you can ignore this mail: "
                "your password stays the same."
            )
            % {"days": days},
        ],
        name=member.name,
    )


def is_link_valid(*, account: Any, token: Any) -> bool:
    """Tell whether a link that was sent can still be used."""
    return _holder(User.objects.all(), account, token) is not None


@transaction.atomic
def choose_password(*, account: Any, token: Any, password: Any) -> None:
    """Set the password of the link's member. It ends their sessions, tokens and sign-in lock.

    Raises PasswordLinkExpired; ValidationRefused naming `password`.
    """
    holder = _holder(User.objects.select_for_update(no_key=True), account, token)
    if holder is None:
        raise PasswordLinkExpired
    _check_new_password(password, holder)
    holder.set_password(str(password))
    holder.save(update_fields=["password"])
    AccessAttempt.objects.filter(username=holder.email).delete()


def _check_new_password(password: Any, member: User) -> None:
    if not can_be_kept(str(password)):
        raise ValidationRefused(
            {"password": [_("One of these characters cannot be used in a password. Please choose others.")]}
        )
    try:
        validate_password(str(password), user=member)
    except ValidationError as error:
        raise ValidationRefused({"password": list(error.messages)}) from None


def _holder(members: Any, account: Any, token: Any) -> User | None:
    try:
        found: User | None = members.filter(pk=UUID(str(account)), is_active=True).first()
    except ValueError:
        return None
    return found if found is not None and _tokens.check_token(found, str(token)) else None
