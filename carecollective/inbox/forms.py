from uuid import uuid4

from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.core.pages import TypedForm
from carecollective.core.text import INITIAL_MESSAGE_MIN, MESSAGE_MAX


class OfferForm(TypedForm):
    """The first message of a conversation."""

    initial_message = forms.Field(
        label=_("Your message"),
        help_text=_("Say hello, and how and when you could help. 10 to 1,000 characters."),
        widget=forms.Textarea(attrs={"rows": 5, "data-min": INITIAL_MESSAGE_MIN, "data-max": MESSAGE_MAX}),
    )


class MessageForm(TypedForm):
    """One message, with an id of its own, so that the same form sent twice is one message."""

    id = forms.Field(initial=uuid4, widget=forms.HiddenInput)
    message = forms.Field(
        label=_("Your message"),
        widget=forms.Textarea(attrs={"rows": 3, "data-max": MESSAGE_MAX}),
    )
