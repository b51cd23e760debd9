from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.services import REASON_MAX
from carecollective.web.pages import RawForm


class DecisionForm(RawForm):
    """What staff decide about the applicants whom they ticked. The ticks stand beside the applicants."""

    reason = forms.Field(
        label=_("Why not?"),
        help_text=_("They read it in a mail that thanks them for wanting to join. Only for “Do not approve”."),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": REASON_MAX}),
    )
