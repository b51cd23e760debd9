"""The doors: signing in and out, joining, a forgotten password, help."""

from typing import Any

from django.contrib.auth import authenticate, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from carecollective.accounts import services
from carecollective.accounts.allauth.steps import go_on_joining, go_on_signing_in
from carecollective.accounts.forms import ForgottenPasswordForm, PasswordForm, SignInForm, SignUpForm
from carecollective.accounts.models import User
from carecollective.accounts.sign_in import passwords
from carecollective.core.errors import DomainError, ValidationRefused
from carecollective.core.text import EMAIL_MAX, INITIAL_MESSAGE_MIN, MESSAGE_MAX_WRITTEN
from carecollective.web.pages import CatchRefusals, answer_error, public_page, render_page

WELCOME = "/account?welcome=1"


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
        too_long = len(email) > EMAIL_MAX
        member = None if too_long else authenticate(request, username=email, password=password)
        if member is None:
            raise ValidationRefused({"form": [_("E-mail address and password do not match. Please try again.")]})
        is_new = member.last_login is None and not member.is_approved
        return go_on_signing_in(request, member, WELCOME if is_new and not _wanted_page(request) else destination)
    return _render_sign_in(request, form, refusal=attempt.error)


def _render_sign_in(request: HttpRequest, form: SignInForm, *, refusal: DomainError | None = None) -> HttpResponse:
    context = {
        "form": form,
        "next": request.POST.get("next") or request.GET.get("next", ""),
        "has_new_password": request.GET.get("password") == "new",
    }
    return render_page(request, "accounts/login.html", context, refusal=refusal)


def _safe_next(request: HttpRequest) -> str:
    return _wanted_page(request) or resolve_url("requests")


def _wanted_page(request: HttpRequest) -> str:
    """Return the page of this site that the visitor wanted to reach, or ""."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None, require_https=request.is_secure())
    return wanted if is_ours and wanted.startswith("/") else ""


@public_page
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign the member out after a question: a browser that prefetches the link signs nobody out."""
    if request.method == "POST":
        logout(request)
        return redirect("logout")
    return render(request, "accounts/logout.html")


@sensitive_post_parameters("password")
@public_page
def sign_up(request: HttpRequest) -> HttpResponse:
    """Take an application, and ask for the code that was sent. It shows nobody whether the address is a member's."""
    wanted = _wanted_page(request)
    if request.user.is_authenticated:
        return redirect(wanted or "account")
    if request.method != "POST":
        return render(request, "accounts/signup.html", {"form": SignUpForm(), "next": wanted})
    form = SignUpForm(request.POST)
    with CatchRefusals(form) as attempt:
        key = form.idempotency_key("name", "email", "location", "reason")
        applicant = services.sign_up(
            name=form.raw("name"),
            email=form.raw("email"),
            password=form.raw("password"),
            location=form.raw("location"),
            reason=form.raw("reason"),
            wanted_path=wanted,
            request=request,
            key=key,
        )
        # The same form, sent twice, goes on where the first went.
        if applicant is None and key is not None:
            applicant = User.objects.filter(pk=key).first()
        return go_on_joining(request, applicant, form.raw("email").strip().lower(), WELCOME)
    context = {"form": form, "next": wanted}
    return render_page(request, "accounts/signup.html", context, refusal=attempt.error)


@public_page
def request_password_link(request: HttpRequest) -> HttpResponse:
    """Send a link to choose a password, if the address is a member's. It shows nobody whether it is."""
    form, refusal = ForgottenPasswordForm(initial={"email": request.GET.get("email", "")}), None
    if request.method == "POST":
        form = ForgottenPasswordForm(request.POST)
        with CatchRefusals(form) as attempt:
            passwords.request_password_link(request=request, email=form.raw("email"))
            return redirect(f"{request.path}?sent=1")
        refusal = attempt.error
    context = {"form": form, "is_sent": "sent" in request.GET}
    return render_page(request, "accounts/password_forgotten.html", context, refusal=refusal)


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


@public_page
def show_help(request: HttpRequest) -> HttpResponse:
    return render(request, "help.html", {"offer_min": INITIAL_MESSAGE_MIN, "offer_max": MESSAGE_MAX_WRITTEN})
