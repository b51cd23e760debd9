"""allauth's pages at this site's addresses, and the names that it looks our own pages up by."""

from typing import Any

from allauth.account import views
from allauth.mfa.base import views as second_factor
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as app
from allauth.mfa.webauthn import views as passkeys
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from carecollective.accounts import account_views
from carecollective.accounts import views as ours
from carecollective.accounts.allauth.pages import entry_page
from carecollective.core.errors import Unauthorized

# What an integer column can hold.
LONGEST_ID = 9


@entry_page
def remove_passkey(request: HttpRequest) -> HttpResponse:
    """Remove one of one's own passkeys, after a question."""
    wanted = request.GET.get("passkey", "")
    if not request.user.is_authenticated:
        raise Unauthorized
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= LONGEST_ID):
        raise Http404
    response: HttpResponse = passkeys.remove_webauthn(request, pk=int(wanted))
    return response


def _page(route: str, view: Any, *names: str) -> list[Any]:
    return [path(route, entry_page(view), name=name) for name in names]


urlpatterns = [
    path("login", ours.sign_in, name="account_login"),
    path("login/code", entry_page(views.request_login_code), name="account_request_login_code"),
    path("login/code/confirm", entry_page(views.confirm_login_code), name="account_confirm_login_code"),
    path("signup", ours.sign_up, name="account_signup"),
    path("account/email", account_views.change_email, name="account_email"),
    path("account/email/code", entry_page(views.email_verification_sent), name="account_email_verification_sent"),
    path("password/forgotten", ours.request_password_link, name="account_reset_password"),
    *_page("login/second-factor", second_factor.authenticate, "mfa_authenticate"),
    *_page("login/passkey", passkeys.login_webauthn, "mfa_login_webauthn"),
    *_page("account/confirm", views.reauthenticate, "account_reauthenticate"),
    *_page("account/confirm/second-factor", second_factor.reauthenticate, "mfa_reauthenticate"),
    *_page("account/confirm/passkey", passkeys.reauthenticate_webauthn, "mfa_reauthenticate_webauthn"),
    *_page("account/second-factor", second_factor.index, "mfa_index", "mfa_list_webauthn"),
    *_page("account/second-factor/app", app.activate_totp, "mfa_activate_totp"),
    *_page("account/second-factor/app/remove", app.deactivate_totp, "mfa_deactivate_totp"),
    *_page("account/second-factor/codes", recovery_codes.view_recovery_codes, "mfa_view_recovery_codes"),
    *_page("account/second-factor/codes/new", recovery_codes.generate_recovery_codes, "mfa_generate_recovery_codes"),
    *_page("account/passkeys/add", passkeys.add_webauthn, "mfa_add_webauthn"),
    path("account/passkeys/remove", remove_passkey, name="mfa_remove_webauthn"),
]
