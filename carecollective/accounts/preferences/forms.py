from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import MailPace
from carecollective.accounts.preferences.quiet_hours import zones_to_choose


class PreferencesForm(forms.Form):
    """Unlike the other forms it reads values, as a time is not a text. Topics of staff are shown to staff alone."""

    email_notifications = forms.BooleanField(label=_("E-mail me when I get an offer or a message"), required=False)
    mail_pace = forms.ChoiceField(
        label=_("How soon"), choices=MailPace.choices, widget=forms.RadioSelect, required=False
    )
    shows_words = forms.BooleanField(label=_("Show what was written in the mail itself"), required=False)
    mail_about_requests = forms.BooleanField(
        label=_("E-mail me when a request is completed, withdrawn or about to end"), required=False
    )
    mail_about_applicants = forms.BooleanField(label=_("E-mail me when people wait to join"), required=False)
    mail_about_reports = forms.BooleanField(label=_("E-mail me when reports or messages to staff wait"), required=False)
    quiet_hours_start = forms.TimeField(
        label=_("Quiet from"), required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    quiet_hours_end = forms.TimeField(
        label=_("Quiet until"), required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    time_zone = forms.CharField(label=_("Where you live"), required=False, widget=forms.Select)

    def __init__(self, *args: Any, is_staff: bool, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        if not is_staff:
            del self.fields["mail_about_applicants"], self.fields["mail_about_reports"]
        chosen = self.data.get("time_zone") or self.initial.get("time_zone") or ""
        zones = zones_to_choose()
        others = [chosen] if chosen and chosen not in zones else []
        widget = self.fields["time_zone"].widget
        widget.choices = [("", _("Not chosen: we use UTC")), *((zone, _spell(zone)) for zone in [*others, *zones])]

    def clean_mail_pace(self) -> str:
        return str(self.cleaned_data["mail_pace"] or MailPace.SOON)


def _spell(zone: str) -> str:
    return zone.replace("_", " ").replace("/", ", ")
