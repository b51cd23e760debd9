"""The mails of signing in: codes, and notices that an account was changed. Their names are django-allauth's."""

from functools import partial
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.codes import CODE_SECONDS, code_of, is_expired
from carecollective.mail import queue
from carecollective.mail.letters import Action, Code, Letter, Part

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
    is_sign_in = kind == "login_code"
    return Letter(
        gettext(str(CODES[kind])),
        [
            gettext("This is your code to sign in to Care Collective.")
            if is_sign_in
            else gettext("This code confirms that this is your e-mail address at Care Collective."),
            Code(code_of(reference, User.objects.get(pk=member_id))),
            gettext("Type it into the page that asks for it, within %(minutes)d minutes. Small letters are fine.")
            % {"minutes": CODE_SECONDS // 60},
            gettext(
                "Nobody from Care Collective will ever ask you for this code. If you did not expect this mail, you need do "
                "nothing: without the code nobody gets any further."
            ),
        ],
    )


def compose_notice(member_id: UUID, *, kind: str) -> Letter:
    """Write the notice that something of an account was changed, and what to do if it was not the member."""
    parts: list[Part] = [
        gettext("%(what)s. If that was you, all is well, and you need do nothing.") % {"what": NOTICES[kind]}
    ]
    if kind == "email_changed":
        parts += [
            gettext("From now on we write to the new address, and you sign in with it."),
            gettext(
                "If it was not you, somebody else may have your password. Please tell us at once, so that we can give "
                "your account back to you."
            ),
            Action(gettext("Write to us"), f"{settings.SITE_ADDRESS}{reverse('contact')}"),
        ]
    else:
        parts += [
            gettext(
                "If it was not you, somebody else may have your password. Please choose a new one; it signs you out "
                "everywhere."
            ),
            Action(gettext("Choose a new password"), f"{settings.SITE_ADDRESS}{reverse('password-forgotten')}"),
        ]
    return Letter(gettext(str(NOTICES[kind])), parts, name=User.objects.get(pk=member_id).name)


def register() -> None:
    """Add the kinds to the mail queue."""
    for kind, title in CODES.items():
        queue.register(kind, title=title, compose=partial(compose_code, kind=kind))
    for kind, title in NOTICES.items():
        queue.register(kind, title=title, compose=partial(compose_notice, kind=kind))
