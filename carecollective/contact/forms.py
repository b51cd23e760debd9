from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.contact.models import TEXT_MAX
from carecollective.web.pages import IdempotentForm


class ContactForm(IdempotentForm):
    """Members need not say who they are. `website` is a trap: people do not see it, programs fill it in."""

    name = forms.Field(label=_("Your name"), widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.Field(
        label=_("Your e-mail"),
        help_text=_("We answer to this address."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    text = forms.Field(label=_("What is it about?"), widget=forms.Textarea(attrs={"rows": 6, "data-max": TEXT_MAX}))
    website = forms.Field(
        label=_("Leave this empty"),
        required=False,
        widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"}),
    )

    @classmethod
    def for_member(cls, member: User | None, data: Any = None) -> "ContactForm":
        """Return the form with the fields that this person must fill in."""
        form = cls(data)
        if member is not None:
            del form.fields["name"], form.fields["email"]
        return form
