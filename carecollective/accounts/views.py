"""Pages of membership: sign-in and sign-out, joining, the account, help."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import authenticate, login, logout
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from carecollective.accounts import services
from carecollective.accounts.forms import PasswordForm, PreferencesForm, ProfileForm, SignInForm, SignUpForm
from carecollective.accounts.models import MessagingPreferences
from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.accounts.sign_in import passwords, tokens
from carecollective.core.errors import DomainError, ValidationRefused
from carecollective.web.pages import CatchRefusals, answer_error, public_page, render_page


def locked_out(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Answer for an account that is locked after too many failed sign-ins from one address."""
    return answer_error(request, services.SignInLocked())


@sensitive_post_parameters("password")
@public_page
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign a member in, and redirect to the page they came from on this site."""
    destination = _safe_next(request)
    if request.method != "POST":
        if request.user.is_authenticated:
            return HttpResponseRedirect(destination)
        return _render_sign_in(request, SignInForm())
    form = SignInForm(request.POST)
    email, password = form.raw("email").strip().lower(), form.raw("password")
    with CatchRefusals(form) as attempt:
        if not email or not password or "\0" in email + password:
            raise ValidationRefused({"form": [_("Please give your e-mail address and your password.")]})
        # No member has a longer address, and the table of failed sign-ins cannot hold one.
        too_long = len(email) > services.EMAIL_MAX
        member = None if too_long else authenticate(request, username=email, password=password)
        if member is None:
            raise ValidationRefused({"form": [_("E-mail address and password do not match. Please try again.")]})
        login(request, member)
        return HttpResponseRedirect(destination)
    return _render_sign_in(request, form, refusal=attempt.error)


def _render_sign_in(request: HttpRequest, form: SignInForm, *, refusal: DomainError | None = None) -> HttpResponse:
    context = {
        "form": form,
        "next": request.POST.get("next") or request.GET.get("next", ""),
        "has_new_password": request.GET.get("password") == "new",
        "has_joined": "joined" in request.GET,
    }
    return render_page(request, "accounts/login.html", context, refusal=refusal)


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None, require_https=request.is_secure())
    if is_ours and wanted.startswith("/"):
        return wanted
    return resolve_url("requests")


@public_page
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign the member out after a question: a browser that prefetches the link signs nobody out."""
    if request.method == "POST":
        logout(request)
        return redirect("requests")
    return render(request, "accounts/logout.html")


@sensitive_post_parameters("password")
@public_page
def sign_up(request: HttpRequest) -> HttpResponse:
    """Take an application, and lead to the sign-in. It shows nobody whether the address is a member's."""
    if request.user.is_authenticated:
        return redirect("account")
    if request.method != "POST":
        return render(request, "accounts/signup.html", {"form": SignUpForm()})
    form = SignUpForm(request.POST)
    with CatchRefusals(form) as attempt:
        services.sign_up(
            name=form.raw("name"),
            email=form.raw("email"),
            password=form.raw("password"),
            location=form.raw("location"),
            reason=form.raw("reason"),
            request=request,
            key=form.idempotency_key("name", "email", "location", "reason"),
        )
        joined = urlencode({"joined": 1, "next": f"{reverse('account')}?welcome=1"})
        return redirect(f"{reverse('login')}?{joined}")
    return render_page(request, "accounts/signup.html", {"form": form}, refusal=attempt.error)


@sensitive_post_parameters("password", "token")
@public_page
def choose_password(request: HttpRequest) -> HttpResponse:
    """Let the member choose a password with the link from the mail."""
    given = request.POST if request.method == "POST" else request.GET
    link = {"account": given.get("account", ""), "token": given.get("token", "")}
    form, refusal = PasswordForm(), None
    if request.method == "POST":
        form = PasswordForm(request.POST)
        with CatchRefusals(form) as attempt:
            passwords.choose_password(**link, password=form.raw("password"))
            return redirect(f"{reverse('login')}?password=new")
        refusal = attempt.error
    holds = passwords.is_link_valid(**link)
    return render_page(
        request,
        "accounts/password.html",
        {"form": form, "is_link_valid": holds, **link},
        refusal=refusal or (None if holds else passwords.PasswordLinkExpired()),
    )


@member_page
def show_account(request: MemberRequest) -> HttpResponse:
    """Show the member's own details and preferences, and change them."""
    member = request.user
    preferences = MessagingPreferences.objects.filter(user=member).first() or MessagingPreferences(user=member)
    profile_form = ProfileForm(initial={"name": member.name, "location": member.location})
    preferences_form = PreferencesForm(initial=model_to_dict(preferences), label_suffix="")
    refusal = None
    if request.method == "POST" and request.POST.get("form") == "preferences":
        preferences_form = PreferencesForm(request.POST, label_suffix="")
        if preferences_form.is_valid():
            with CatchRefusals(preferences_form) as attempt:
                services.update_preferences(actor=member, **preferences_form.cleaned_data)
                return redirect(f"{request.path}?saved=preferences")
            refusal = attempt.error
        else:
            refusal = ValidationRefused({"quiet_hours_start": [_("Please check the times.")]})
    elif request.method == "POST":
        profile_form = ProfileForm(request.POST)
        with CatchRefusals(profile_form) as attempt:
            services.update_profile(actor=member, name=profile_form.raw("name"), location=profile_form.raw("location"))
            return redirect(f"{request.path}?saved=profile")
        refusal = attempt.error
    context = {
        "profile_form": profile_form,
        "preferences_form": preferences_form,
        "saved": request.GET.get("saved", ""),
        "is_welcome": "welcome" in request.GET,
        "tokens": tokens.list_tokens(member=member),
    }
    return render_page(request, "accounts/account.html", context, refusal=refusal)


@member_page
def end_token(request: MemberRequest, token_id: str) -> HttpResponse:
    """End one of the member's tokens."""
    if request.method == "POST":
        tokens.end_token(actor=request.user, token_id=token_id)
        return redirect(f"{reverse('account')}?saved=token")
    return redirect("account")


@member_page
def sign_out_everywhere(request: MemberRequest) -> HttpResponse:
    """Sign the member out on every device, this one too."""
    if request.method != "POST":
        return redirect("account")
    tokens.sign_out_everywhere(actor=request.user)
    logout(request)
    return redirect("logout")


@public_page
def show_help(request: HttpRequest) -> HttpResponse:
    return render(request, "help.html")
