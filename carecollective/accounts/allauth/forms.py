"""allauth's forms with this site's words, codes and limits."""

from typing import Any

from allauth.account import forms as account_forms
from allauth.core import context
from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.sign_in import codes
from carecollective.core.rate_limits import count_client_use, mails_asked_for
from carecollective.core.text import EMAIL_MAX


def code_field(label: Any, help_text: Any = "") -> forms.CharField:
    """Return a field for a code that was sent or shown."""
    attrs = {"autocomplete": "one-time-code", "autocapitalize": "characters", "spellcheck": "false", "autofocus": True}
    return forms.CharField(label=label, help_text=help_text, widget=forms.TextInput(attrs=attrs))


class ByReference(forms.Form):
    """The session holds a reference; what is typed is compared with its code."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if "code" in options:
            stage = getattr(context.request, "_login_stage", None)
            member = options.get("user") or (stage.login.user if stage else None)
            options["code"] = codes.code_of(options["code"], member)
        options.setdefault("label_suffix", "")
        super().__init__(*args, **options)
        self.fields["code"] = code_field(_("The code from the mail"), _("Eight letters, such as BCDF-GHJK."))


class ConfirmLoginCodeForm(ByReference, account_forms.ConfirmLoginCodeForm):  # type: ignore[misc]
    """Asks for the code to sign in."""


class ConfirmEmailForm(ByReference, account_forms.ConfirmEmailVerificationCodeForm):  # type: ignore[misc]
    """Asks for the code that confirms an address."""


class RequestLoginCodeForm(account_forms.RequestLoginCodeForm):  # type: ignore[misc]
    """Asks for the address that a code to sign in is sent to."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("label_suffix", "")
        super().__init__(*args, **options)
        attrs = {"autocomplete": "username", "autofocus": True}
        self.fields["email"] = forms.EmailField(
            label=_("E-mail"),
            max_length=EMAIL_MAX,
            widget=forms.EmailInput(attrs=attrs),
            error_messages={"invalid": _("Please check your e-mail address.")},
        )

    def clean_email(self) -> str:
        count_client_use(request=context.request, limit=mails_asked_for())
        self.cleaned_data["email"] = self.cleaned_data["email"].lower()
        return str(super().clean_email())
