from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.help_requests.models import OTHER, Category, RequestStatus, Urgency
from carecollective.help_requests.services import DESCRIPTION_MAX, TITLE_MAX
from carecollective.web.pages import IdempotentForm, RawForm
from carecollective.web.rendering.form_renderer import FixedSelect


class HelpRequestForm(IdempotentForm):
    title = forms.Field(
        label=_("What do you need?"),
        help_text=_("A few words, for example: Milk and bread by Friday."),
        widget=forms.TextInput(attrs={"data-max": TITLE_MAX}),
    )
    description = forms.Field(
        label=_("Tell a little more"),
        required=False,
        help_text=_(
            "What, where roughly, and when. Everybody can read this, so leave out your address and phone number."
        ),
        widget=forms.Textarea(attrs={"rows": 6, "data-max": DESCRIPTION_MAX}),
    )
    category = forms.Field(
        label=_("What kind of help?"),
        help_text=_("We put “Something else”. Please change it if another kind fits."),
        initial=Category.OTHER,
        widget=FixedSelect(choices=Category.choices),
    )
    urgency = forms.Field(
        label=_("How soon?"),
        help_text=_("We put “Any time”. Please change it if it has to be sooner."),
        initial=Urgency.NORMAL,
        widget=FixedSelect(choices=Urgency.choices),
    )


class FiltersForm(RawForm):
    q = forms.Field(
        label=_("Search"), required=False, widget=forms.TextInput(attrs={"type": "search", "aria-label": _("Search")})
    )
    category = forms.Field(
        label=_("Kind of help"),
        required=False,
        widget=FixedSelect(choices=[("", _("All kinds")), *Category.choices]),
    )
    urgency = forms.Field(
        label=_("How soon"),
        required=False,
        widget=FixedSelect(choices=[("", _("Any")), *Urgency.choices, (OTHER, _("Other"))]),
    )
    status = forms.Field(
        label=_("Status"),
        required=False,
        widget=FixedSelect(choices=[("", _("All")), *RequestStatus.choices, (OTHER, _("Other"))]),
    )
