from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from carecollective.core.text import INITIAL_MESSAGE_MIN, MESSAGE_MAX, MESSAGE_MAX_WRITTEN
from carecollective.web.pages import IdempotentForm, RawForm


class OfferForm(RawForm):
    """The first message of a conversation."""

    initial_message = forms.Field(
        label=_("Your message"),
        help_text=format_lazy(
            _(
                "Say hello, and how and when you could help. {least} to {most} characters. You need not give your phone"
                " number or address yet."
            ),
            least=INITIAL_MESSAGE_MIN,
            most=MESSAGE_MAX_WRITTEN,
        ),
        widget=forms.Textarea(attrs={"rows": 5, "data-min": INITIAL_MESSAGE_MIN, "data-max": MESSAGE_MAX}),
    )


class MessageForm(IdempotentForm):
    """One message. Going back shows a new form with the words of the last message still in it: `last_sent` names that one."""

    last_sent = forms.Field(required=False, widget=forms.HiddenInput)
    message = forms.Field(
        label=_("Your message"),
        widget=forms.Textarea(attrs={"rows": 3, "data-max": MESSAGE_MAX}),
    )
