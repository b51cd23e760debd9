from django import forms
from django.utils.translation import gettext_lazy as _

from carecollective.web.pages import IdempotentForm, RawForm


class SignInForm(RawForm):
    email = forms.Field(
        label=_("E-mail"),
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.Field(
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class SignUpForm(IdempotentForm):
    name = forms.Field(
        label=_("Your name"),
        help_text=_("As your neighbours know you."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    email = forms.Field(
        label=_("E-mail"),
        help_text=_("For signing in. Other members do not see it."),
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = forms.Field(
        label=_("Password"),
        help_text=_("At least 10 characters. Three or four words in a row are easy to remember."),
        # Kept where another field is refused: nobody need think of it twice. No cache keeps the page.
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=True),
    )
    location = forms.Field(
        label=_("Town"),
        required=False,
        help_text=_("So that help can be found near you."),
        widget=forms.TextInput(attrs={"autocomplete": "address-level2"}),
    )
    reason = forms.Field(
        label=_("Why would you like to join?"),
        required=False,
        help_text=_("A sentence or two helps us to welcome you sooner."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class PasswordForm(RawForm):
    password = forms.Field(
        label=_("New password"),
        help_text=_("At least 10 characters. Three or four words in a row are easy to remember."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "autofocus": True}),
    )


class ForgottenPasswordForm(RawForm):
    email = forms.Field(
        label=_("E-mail"), widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )


class ChangePasswordForm(RawForm):
    old_password = forms.Field(
        label=_("Password that you have now"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    password = forms.Field(
        label=_("New password"),
        help_text=_("At least 10 characters. Three or four words in a row are easy to remember."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class ChangeEmailForm(RawForm):
    email = forms.Field(
        label=_("New e-mail address"), widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True})
    )
    password = forms.Field(
        label=_("Your password"),
        help_text=_("So that nobody else can take your account."),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class ProfileForm(RawForm):
    name = forms.Field(label=_("Name"), widget=forms.TextInput(attrs={"autocomplete": "name"}))
    location = forms.Field(
        label=_("Town"), required=False, widget=forms.TextInput(attrs={"autocomplete": "address-level2"})
    )
