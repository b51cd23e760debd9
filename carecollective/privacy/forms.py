from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.core.pages import TypedForm


class ErasureForm(TypedForm):
    """The password once more, so that a phone left on a table erases nobody."""

    password = forms.Field(
        label=_("Your password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
