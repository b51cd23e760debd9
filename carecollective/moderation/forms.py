from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.moderation.models import WORDS_MAX, ReportReason
from carecollective.web.pages import RawForm


class ReportForm(RawForm):
    """What is wrong with a message or a person, and in the reporter's own words why."""

    reason = forms.Field(
        label=_("What is wrong?"),
        widget=forms.Select(choices=[("", _("Please choose")), *ReportReason.choices]),
    )
    words = forms.Field(
        label=_("In your own words"),
        required=False,
        help_text=_("What should staff know?"),
        widget=forms.Textarea(attrs={"rows": 4, "data-max": WORDS_MAX}),
    )
