"""allauth's forms for second factors: each code of an app counts once, tries are limited, and any input is a wrong answer."""

import json
from datetime import timedelta
from typing import Any

from allauth.account import forms as account_forms
from allauth.core import context
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base_forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import forms as totp_forms
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from allauth.mfa.webauthn import forms as webauthn_forms
from django import forms
from django.forms.utils import ErrorDict
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.allauth.forms import code_field
from carecollective.accounts.models import User
from carecollective.core.database import execute
from carecollective.core.rate_limits import Limit, count_client_use, count_use, failed_sign_ins

TRIES = Limit("second_factor", 10, timedelta(minutes=10))
# The step of the last code is kept with the factor: a code that was used, or an earlier one, is refused in every process.
_USE_STEP = """
UPDATE mfa_authenticator SET data = jsonb_set(data, '{last_step}', to_jsonb(%(step)s::bigint))
WHERE id = %(id)s AND coalesce((data ->> 'last_step')::bigint, 0) < %(step)s::bigint
"""


class LimitedCodeForm(base_forms.BaseAuthenticateForm):  # type: ignore[misc]
    """Takes a code of an app once, for all processes, and a limited number of tries per member."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("label_suffix", "")
        super().__init__(*args, **options)
        self.fields["code"] = code_field(_("Code from your app, or a recovery code"))

    def clean_code(self) -> str:
        count_use(member=self.user, limit=TRIES)
        code = str(super().clean_code())
        if self.authenticator.type == Authenticator.Type.TOTP and not self._is_first_use(code):
            raise forms.ValidationError(_("This code was used already. Please wait for the next one."))
        return code

    def _is_first_use(self, code: str) -> bool:
        """Record the time step of the code; tell whether it is later than the last one."""
        secret = decrypt(self.authenticator.data["secret"])
        steps = [step for step in totp.yield_hotp_counters_from_time() if _is_code_of(code, secret, step)]
        return bool(steps) and execute(_USE_STEP, {"step": steps[0], "id": self.authenticator.pk}) == 1


def _is_code_of(code: str, secret: str, step: int) -> bool:
    return bool(compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, step))))


class AuthenticateForm(LimitedCodeForm, base_forms.AuthenticateForm):  # type: ignore[misc]
    """Asks for the second factor while signing in."""


class ReauthenticateForm(LimitedCodeForm, base_forms.ReauthenticateForm):  # type: ignore[misc]
    """Asks for the second factor again, before something important."""


class ConfirmPasswordForm(account_forms.ReauthenticateForm):  # type: ignore[misc]
    """Asks for the password again, before something important."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("label_suffix", "")
        super().__init__(*args, **options)
        attrs = {"autocomplete": "current-password", "autofocus": True}
        self.fields["password"] = forms.CharField(label=_("Your password"), widget=forms.PasswordInput(attrs=attrs))


class ActivateAppForm(totp_forms.ActivateTOTPForm):  # type: ignore[misc]
    """Asks for a first code of a new app."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("label_suffix", "")
        super().__init__(*args, **options)
        self.fields["code"] = code_field(_("The six figures that the app shows"))

    def clean_code(self) -> str:
        count_use(member=self.user, limit=TRIES)
        return str(super().clean_code())


class PasskeyForm(forms.Form):
    """Treats a passkey's answer that cannot be read as a wrong one; allauth fails on some."""

    def full_clean(self) -> None:
        try:
            if self.is_bound:
                json.dumps(json.loads(self.data.get("credential", "")), ensure_ascii=False).encode()
            super().full_clean()
        except (ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError):
            if not self.is_bound:
                raise
            self._errors, self.cleaned_data = ErrorDict(), {}
            # Not shown again: it may hold a lone surrogate.
            self.data = {**self.data, "name": self.data.get("name", ""), "credential": ""}
            self.add_error("credential", get_adapter().error_messages["incorrect_code"])


class AddPasskeyForm(PasskeyForm, webauthn_forms.AddWebAuthnForm):  # type: ignore[misc]
    """Takes a new passkey and its name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("label_suffix", "")
        super().__init__(*args, **options)
        self.fields["name"] = forms.CharField(
            label=_("Name of this passkey"),
            help_text=_("So that you know it again, such as My phone."),
            max_length=100,
            required=False,
        )
        self.fields["passwordless"] = forms.BooleanField(
            label=_("Sign in with this passkey alone, without a password"), required=False, initial=True
        )


class AuthenticatePasskeyForm(PasskeyForm, webauthn_forms.AuthenticateWebAuthnForm):  # type: ignore[misc]
    """Takes a passkey as the second factor."""

    def clean_credential(self) -> Authenticator:
        count_use(member=self.user, limit=TRIES)
        return super().clean_credential()


class ReauthenticatePasskeyForm(PasskeyForm, webauthn_forms.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """Takes a passkey before something important."""

    def clean_credential(self) -> Authenticator:
        count_use(member=self.user, limit=TRIES)
        return super().clean_credential()


class SignInByPasskeyForm(PasskeyForm, webauthn_forms.LoginWebAuthnForm):  # type: ignore[misc]
    """Takes a passkey instead of address and password."""

    def clean_credential(self) -> Authenticator:
        count_client_use(request=context.request, limit=failed_sign_ins())
        return super().clean_credential()


def takes_code(member: User, code: str) -> bool:
    """Tell whether this is a code of the member's app or a recovery code, which is then used up.

    Raises RateLimitExceeded after too many tries.
    """
    return bool(AuthenticateForm(user=member, data={"code": code}).is_valid())
