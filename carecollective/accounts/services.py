"""Membership: joining, approval, profile, API tokens."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.signals import user_logged_in
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken
from knox.settings import knox_settings

from carecollective.accounts.allauth.mfa_forms import takes_code
from carecollective.accounts.letters.membership import APPROVED_MAIL, REJECTED_MAIL
from carecollective.accounts.models import User, VerificationStatus
from carecollective.accounts.names.rules import read_name
from carecollective.accounts.sign_in.addresses import clean_address, is_confirmed
from carecollective.accounts.sign_in.second_factor import needs_second_factor
from carecollective.accounts.taken_address import tell_member
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import DomainNotFound, NotPermitted, RateLimitExceeded, Unauthorized, ValidationRefused
from carecollective.core.rate_limits import count_client_use, forgive_client_use, sign_ups
from carecollective.core.text import EMAIL_MAX, can_be_kept, read_text
from carecollective.mail.queue import queue_mail

LOCATION_MAX = 100
REASON_MAX = 500
WANTED_PATH_MAX = 500
# What staff may change of a member: columns of the row, and many-to-many relations.
CHANGED_BY_STAFF = ("name", "location", "is_active", "is_staff", "is_superuser")
LINKED_BY_STAFF = ("groups", "user_permissions")


class NotApproved(NotPermitted):
    message = _(
        "Your membership is waiting for approval. You can read requests; offering and asking open once approved."
    )


class AddressNotConfirmed(NotPermitted):
    message = _("This applicant has not confirmed their e-mail address yet. Their account page asks them to.")


class SecondFactorNeeded(NotPermitted):
    message = _("A password is not enough for this account. Please send `code` too: from your app, or a recovery code.")


class AdministratorExists(NotPermitted):
    message = _("There is an administrator already, who can make others staff at /admin/.")


class SignInLocked(RateLimitExceeded):
    """Too many sign-ins to this account failed from this IP address."""

    message = _(
        "Too many sign-ins failed. Please wait half an hour, or sign in with a code that we send you by e-mail."
    )

    def __init__(self) -> None:
        super().__init__(retry_after=round(settings.AXES_COOLOFF_TIME * 3600))


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token in clear text. Only its hash is stored."""

    token: str
    expiry: datetime


def require_approved(member: User) -> None:
    """Raise NotApproved unless staff have approved the membership."""
    if member.verification_status == VerificationStatus.REJECTED:
        raise NotApproved(
            _("Your membership was not approved. You can read requests; offering and asking are for members.")
        )
    if not member.is_approved:
        raise NotApproved


def require_staff(member: User) -> None:
    """Raise NotPermitted unless the member is staff and may sign in."""
    if not (member.is_staff and member.is_active):
        raise NotPermitted


def sign_up(
    *,
    name: Any,
    email: Any,
    password: Any,
    location: Any = "",
    reason: Any = "",
    wanted_path: str = "",
    request: HttpRequest | None = None,
    key: UUID | None = None,
) -> User | None:
    """Make a member who waits for approval; with the `key` of a form, once however often it is sent.

    Returns None where the address is a member's: they are told by mail, and the answer must be the same. The same form sent
    again makes, tells and counts nothing. Raises ValidationRefused naming each field that cannot be taken;
    RateLimitExceeded after too many from one IP address.
    """
    refused: dict[str, list[Any]] = {}
    texts = {"email": clean_address(email, refused), "name": read_name(name, refused=refused)}
    for field, value, longest in (("location", location, LOCATION_MAX), ("reason", reason, REASON_MAX)):
        texts[field] = _short_text(field, value, longest, refused)
    applicant = User(pk=key or uuid4(), email=texts["email"], name=texts["name"], location=texts["location"] or None)
    try:
        validate_password(str(password), user=applicant)
    except ValidationError as error:
        refused["password"] = list(error.messages)
    if not can_be_kept(str(password)):
        refused["password"] = [_("One of these characters cannot be used in a password. Please choose others.")]
    if refused:
        raise ValidationRefused(refused)
    if key is not None and User.objects.filter(pk=key).exists():
        return None
    # Before the password is hashed, which is costly.
    counted = count_client_use(request=request, limit=sign_ups()) if request is not None else None
    applicant.application_reason = texts["reason"] or None
    applicant.wanted_path = wanted_path if 0 < len(wanted_path) <= WANTED_PATH_MAX else None
    applicant.set_password(password)
    try:
        with transaction.atomic():
            applicant.save(force_insert=True)
    except IntegrityError:
        holder = User.objects.filter(email=texts["email"]).first()
        if holder is None:
            raise
        if holder.pk != key:
            tell_member(holder)
        elif counted is not None:
            forgive_client_use(counted)
        return None
    return applicant


@transaction.atomic
def create_administrator(*, email: Any, name: Any, although_there_is_one: bool = False) -> User:
    """Make a member an administrator, or create one without a password.

    Only for the operator's command: operators can change the database anyway. The log names the member as the actor.
    Raises ValidationRefused; AdministratorExists; NotPermitted for a member who may not sign in.
    """
    if not although_there_is_one and User.objects.filter(is_superuser=True, is_active=True).exists():
        raise AdministratorExists
    address = str(email).strip().lower()
    member = User.objects.select_for_update(no_key=True).filter(email=address).first()
    if member is None:
        refused: dict[str, list[Any]] = {}
        member = User(email=clean_address(email, refused), name=read_name(name, refused=refused))
        if refused:
            raise ValidationRefused(refused)
        member.set_unusable_password()
        member.save(force_insert=True)
    elif not member.is_active:
        raise NotPermitted(_("This member may not sign in."))
    User.objects.filter(pk=member.pk).update(
        is_staff=True,
        is_superuser=True,
        verification_status=VerificationStatus.APPROVED,
        approved_at=ClockTimestamp(),
    )
    LogEntry.objects.create(
        user=member,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(member.pk),
        object_repr=member.name[:200],
        action_flag=CHANGE,
        change_message="Made an administrator at the command line.",
    )
    return member


def fingerprint_of(member: User) -> str:
    """Return a digest of everything that staff may change of a member, for optimistic locking."""
    state = {name: getattr(member, name) for name in CHANGED_BY_STAFF} | {
        name: sorted(getattr(member, name).values_list("pk", flat=True)) for name in LINKED_BY_STAFF
    }
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def update_profile(*, actor: User, name: Any, location: Any) -> None:
    """Change the member's name and location. Raises ValidationRefused.

    Staff cannot rename themselves, because logs record what they do by name.
    """
    refused: dict[str, list[Any]] = {}
    new_name = read_name(name, refused=refused, of=actor)
    new_location = _short_text("location", location, LOCATION_MAX, refused)
    if "name" not in refused and actor.is_staff and new_name != actor.name:
        refused["name"] = [
            _("What staff do is on record under their names. Please ask an administrator to change yours.")
        ]
    if refused:
        raise ValidationRefused(refused)
    actor.name, actor.location = new_name, new_location or None
    actor.save(update_fields=["name", "location"])


def note_unseen_notice(member_id: UUID) -> None:
    """Let every page of the member say that staff wrote to them, until they have opened their account page."""
    User.objects.filter(pk=member_id).update(unseen_notice_at=ClockTimestamp())


def note_notices_seen(member: User) -> None:
    """Note that the member has seen what staff wrote, unless something newer came meanwhile."""
    if member.unseen_notice_at is not None:
        seen = User.objects.filter(pk=member.pk, unseen_notice_at=member.unseen_notice_at)
        seen.update(unseen_notice_at=None)


def approve_member(*, actor: User, member_id: UUID) -> None:
    """Approve a member. For an approved one, the earlier approval stays on record.

    Raises NotPermitted for oneself and for a member who may not sign in; AddressNotConfirmed where the site sends mail; what
    `get_member_managed_by` raises.
    """
    member = _get_other_member(actor, member_id)
    if not member.is_active:
        raise NotPermitted(_("This member may not sign in."))
    # On a site that sends no mail nobody can confirm an address.
    if settings.SENDS_MAIL and not is_confirmed(member):
        raise AddressNotConfirmed
    with transaction.atomic():
        is_new = (
            User.objects.filter(pk=member_id)
            .exclude(verification_status=VerificationStatus.APPROVED)
            .update(
                verification_status=VerificationStatus.APPROVED,
                approved_at=ClockTimestamp(),
                approved_by=actor,
                rejection_reason=None,
            )
        )
        if is_new:
            queue_mail(APPROVED_MAIL, member_id)


def reject_member(*, actor: User, member_id: UUID, reason: Any) -> None:
    """Reject an application, or end an approved membership. The member reads the reason in a mail.

    Raises NotPermitted; DomainNotFound; ValidationRefused naming `reason`.
    """
    _get_other_member(actor, member_id)
    refused: dict[str, list[Any]] = {}
    text = read_text(reason, field="reason", longest=REASON_MAX, refused=refused)
    if refused:
        raise ValidationRefused(refused)
    with transaction.atomic():
        # Read again under a lock: whether a mail is due depends on what somebody else may change just now.
        member = User.objects.select_for_update(of=("self",), no_key=True).get(pk=member_id)
        User.objects.filter(pk=member_id).update(
            verification_status=VerificationStatus.REJECTED, rejection_reason=text, approved_at=None, approved_by=None
        )
        if member.verification_status != VerificationStatus.REJECTED:
            queue_mail(REJECTED_MAIL, member_id)


def get_member_managed_by(actor: User, member_id: UUID) -> User:
    """Return a member whom this member of staff may manage.

    Raises NotPermitted unless the actor is staff, and for members of staff unless they are an administrator; DomainNotFound.
    """
    require_staff(actor)
    member = User.objects.filter(pk=member_id).first()
    if member is None:
        raise DomainNotFound
    if (member.is_staff or member.is_superuser) and not actor.is_superuser:
        raise NotPermitted
    return member


def issue_token(*, request: HttpRequest, email: Any, password: Any, code: str = "") -> IssuedToken:
    """Exchange e-mail and password, and a code of the second factor where there is one, for a token that expires.

    It counts as a sign-in; too many tokens end the oldest.

    Raises ValidationRefused; Unauthorized when they do not match; SignInLocked after too many failed sign-ins;
    SecondFactorNeeded where a password alone is not enough and `code` is not right.
    """
    refused: dict[str, list[Any]] = {}
    for field, value in (("email", email), ("password", password)):
        if not isinstance(value, str) or not value or not can_be_kept(value):
            refused[field] = [_("This is needed, as text.")]
    if refused:
        raise ValidationRefused(refused)
    username = email.strip().lower()
    # No member has a longer address, and the table of failed sign-ins cannot hold one.
    user = authenticate(request, username=username, password=password) if len(username) <= EMAIL_MAX else None
    if getattr(request, "axes_locked_out", False):
        raise SignInLocked
    if not isinstance(user, User):
        raise Unauthorized(_("E-mail address and password do not match."))
    if needs_second_factor(user) and not takes_code(user, code):
        raise SecondFactorNeeded
    with transaction.atomic():
        # Checked again under a lock: the member may have been shut out, or have a new password, since the check above.
        locked = User.objects.select_for_update(no_key=True)
        holder = locked.filter(pk=user.pk, password=user.password, is_active=True).first()
        if holder is None:
            raise Unauthorized(_("E-mail address and password do not match."))
        instance, token = AuthToken.objects.create(user=holder)
        user_logged_in.send(sender=User, request=request, user=holder)
        newest = AuthToken.objects.filter(user=holder).order_by("-created", "-pk")
        AuthToken.objects.filter(
            pk__in=list(newest.values_list("pk", flat=True)[knox_settings.TOKEN_LIMIT_PER_USER :])
        ).delete()
    return IssuedToken(token, instance.expiry)


def prune_sessions_and_tokens() -> int:
    """Delete expired sessions and tokens; return how many."""
    sessions, _by_model = Session.objects.filter(expire_date__lt=ClockTimestamp()).delete()
    tokens, _by_model = AuthToken.objects.filter(expiry__lt=ClockTimestamp()).delete()
    return int(sessions + tokens)


def _short_text(field: str, value: Any, longest: int, refused: dict[str, list[Any]]) -> str:
    return read_text(value or "", field=field, longest=longest, refused=refused, as_one_line=True)


def _get_other_member(actor: User, member_id: UUID) -> User:
    member = get_member_managed_by(actor, member_id)
    if member.pk == actor.pk:
        raise NotPermitted(_("Nobody decides about their own membership."))
    return member
