"""The pages of one's own account."""

from django.contrib.auth import logout, update_session_auth_hash
from django.forms.models import model_to_dict
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from carecollective.accounts import services
from carecollective.accounts.forms import ChangeEmailForm, ChangePasswordForm, ProfileForm
from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.accounts.preferences.forms import PreferencesForm
from carecollective.accounts.preferences.quiet_hours import local_time
from carecollective.accounts.preferences.services import read_preferences, update_preferences
from carecollective.accounts.sign_in import addresses, passwords, sessions, tokens
from carecollective.accounts.sign_in.second_factor import has_second_factor
from carecollective.core.database import read_clock
from carecollective.core.errors import ValidationRefused
from carecollective.web.middleware import is_speculative
from carecollective.web.pages import CatchRefusals, focus_first_wrong_field, render_page


@member_page
def show_account(request: MemberRequest) -> HttpResponse:
    """Show the member's own details and preferences, and change them."""
    member = request.user
    preferences = read_preferences(member.pk)
    profile_form = ProfileForm(initial={"name": member.name, "location": member.location})
    preferences_form = PreferencesForm(initial=model_to_dict(preferences), is_staff=member.is_staff)
    refusal = None
    if request.method == "POST" and request.POST.get("form") == "preferences":
        preferences_form = PreferencesForm(request.POST, is_staff=member.is_staff)
        if preferences_form.is_valid():
            with CatchRefusals(preferences_form) as attempt:
                update_preferences(actor=member, **preferences_form.cleaned_data)
                return redirect(f"{request.path}?saved=preferences")
            refusal = attempt.error
        else:
            focus_first_wrong_field(preferences_form)
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
        "clock": local_time(read_clock(), preferences.time_zone).strftime("%H:%M"),
        "saved": request.GET.get("saved", ""),
        "is_welcome": "welcome" in request.GET,
        "is_confirmed": addresses.is_confirmed(member),
        "has_second_factor": has_second_factor(member),
        "tokens": tokens.list_tokens(member=member),
        "sessions": sessions.list_sessions(member=member, current_key=request.session.session_key),
    }
    answer = render_page(request, "accounts/account.html", context, refusal=refusal)
    if not is_speculative(request):
        services.note_notices_seen(member)
    return answer


@member_page
def send_address_code(request: MemberRequest) -> HttpResponse:
    """Send a code to the member's address, and lead to the page that asks for it."""
    if request.method != "POST" or addresses.is_confirmed(request.user):
        return redirect("account")
    addresses.send_code(request=request, member=request.user)
    return redirect("account_email_verification_sent")


@sensitive_post_parameters("password")
@member_page
def change_email(request: MemberRequest) -> HttpResponse:
    """Ask for a new address and the password; a code goes to the new address."""
    form, refusal = ChangeEmailForm(), None
    if request.method == "POST":
        form = ChangeEmailForm(request.POST)
        with CatchRefusals(form) as attempt:
            addresses.start_change(
                request=request, actor=request.user, email=form.raw("email"), password=form.raw("password")
            )
            return redirect("account_email_verification_sent")
        refusal = attempt.error
    return render_page(request, "accounts/change_email.html", {"form": form}, refusal=refusal)


@sensitive_post_parameters("old_password", "password")
@member_page
def change_password(request: MemberRequest) -> HttpResponse:
    """Let the member choose a new password; this browser stays signed in."""
    form, refusal = ChangePasswordForm(), None
    if request.method == "POST":
        form = ChangePasswordForm(request.POST)
        with CatchRefusals(form) as attempt:
            changed = passwords.change_password(
                request=request,
                actor=request.user,
                old_password=form.raw("old_password"),
                password=form.raw("password"),
            )
            update_session_auth_hash(request, changed)
            return redirect(f"{reverse('account')}?saved=password")
        refusal = attempt.error
    return render_page(request, "accounts/change_password.html", {"form": form}, refusal=refusal)


@member_page
def end_session(request: MemberRequest, session_id: str) -> HttpResponse:
    """End one of the member's sessions; ending this one signs out."""
    if request.method != "POST":
        return redirect("account")
    sessions.end_session(actor=request.user, session_id=session_id)
    return redirect(f"{reverse('account')}?saved=session")


@member_page
def end_other_sessions(request: MemberRequest) -> HttpResponse:
    """Sign the member out on every device but this one."""
    if request.method == "POST":
        sessions.end_other_sessions(actor=request.user, current_key=request.session.session_key)
        return redirect(f"{reverse('account')}?saved=session")
    return redirect("account")


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
