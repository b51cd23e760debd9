from uuid import UUID

from django import forms
from django.core.signing import BadSignature, Signer
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.web.pages import RawForm

_signer = Signer(salt="privacy.erasure")


class ErasureForm(RawForm):
    """The password once more, so that nobody else can erase a member on an unlocked phone.

    `leaving` is the signed id of the page's member: at a second click nobody is signed in any more.
    """

    leaving = forms.Field(required=False, widget=forms.HiddenInput)

    password = forms.Field(
        label=_("Your password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    @classmethod
    def of(cls, member: User) -> "ErasureForm":
        """Return the empty form for a member."""
        return cls(initial={"leaving": _signer.sign(str(member.pk))})

    def member_id(self) -> UUID | None:
        """Return the id of the member who got the form; None without a valid signature."""
        try:
            return UUID(_signer.unsign(self.raw("leaving")))
        except BadSignature:
            return None
