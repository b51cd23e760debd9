"""The mails of signing in: codes, and notices that an account was changed. Their names are django-allauth's."""

from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.codes import CODE_SECONDS, code_of, is_expired
from carecollective.mail import queue
from carecollective.mail.queue import Letter

CODES = {
    "login_code": _("Your code to sign in to Care Collective"),
    "email_confirmation_signup": _("Please confirm your e-mail address"),
    "email_confirmation": _("Please confirm your e-mail address"),
}
NOTICES = {
    "password_changed": _("Your password was changed"),
    "email_changed": _("Your e-mail address was changed"),
    "totp_activated": _("An app for codes was added to your account"),
    "totp_deactivated": _("The app for codes was removed from your account"),
    "recovery_codes_generated": _("New recovery codes were made for your account"),
    "webauthn_added": _("A passkey was added to your account"),
    "webauthn_removed": _("A passkey was removed from your account"),
}


def compose_code(member_id: UUID, reference: str = "", *, kind: str) -> Letter | None:
    """Write the mail with a code; None when it would come too late.

    It names nobody: the address may be a stranger's, mistyped by the member.
    """
    if not reference or is_expired(reference):
        return None
    words = {
        "code": code_of(reference, User.objects.get(pk=member_id)),
        "is_sign_in": kind == "login_code",
        "minutes": CODE_SECONDS // 60,
        "site": settings.SITE_ADDRESS,
    }
    return Letter(gettext(str(CODES[kind])), render_to_string("accounts/email/code.txt", words))


def compose_notice(member_id: UUID, *, kind: str) -> Letter:
    """Write the notice that something of an account was changed, and what to do if it was not the member."""
    words: dict[str, Any] = {
        "member": User.objects.get(pk=member_id),
        "what": NOTICES[kind],
        "link": f"{settings.SITE_ADDRESS}{reverse('password-forgotten')}",
        "is_new_address": kind == "email_changed",
    }
    return Letter(gettext(str(NOTICES[kind])), render_to_string("accounts/email/notice.txt", words))


def register() -> None:
    """Add the kinds to the mail queue."""
    for kind, title in CODES.items():
        queue.register(kind, title=title, compose=partial(compose_code, kind=kind))
    for kind, title in NOTICES.items():
        queue.register(kind, title=title, compose=partial(compose_notice, kind=kind))
