from uuid import UUID

from django import forms
from django.core.signing import BadSignature, Signer
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.web.pages import RawForm

_signer = Signer(salt="privacy.erasure")


class ErasureForm(RawForm):
    """The password once more, so that a phone left on a table erases nobody.

    `leaving` names the member whose page this is, signed: after a second click nobody is signed in any more.
    """

    leaving = forms.Field(required=False, widget=forms.HiddenInput)

    password = forms.Field(
        label=_("Your password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    @classmethod
    def of(cls, member: User) -> "ErasureForm":
        """Return the empty form of a member's own page."""
        return cls(initial={"leaving": _signer.sign(str(member.pk))})

    def member_id(self) -> UUID | None:
        """Return whose page the form was on, or None where nothing proves it."""
        try:
            return UUID(_signer.unsign(self.raw("leaving")))
        except BadSignature:
            return None
