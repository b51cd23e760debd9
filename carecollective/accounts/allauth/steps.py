"""Hand a visitor over to allauth's steps, after our own pages have checked them."""

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.internal.flows.signup import complete_signup, prevent_enumeration
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse

from carecollective.accounts.allauth.pages import limit_visitor_session
from carecollective.accounts.models import User


def go_on_signing_in(request: HttpRequest, member: User, destination: str) -> HttpResponse:
    """Go on after the right password: to the second factor where there is one, or in."""
    begun = Login(
        user=member,
        email=member.email,
        redirect_url=destination,
        # Their account page asks for it.
        email_verification=EmailVerificationMethod.NONE,
    )
    response: HttpResponse = perform_password_login(request, {"email": member.email}, begun)
    limit_visitor_session(request)
    return response


def go_on_joining(request: HttpRequest, applicant: User | None, email: str, destination: str) -> HttpResponse:
    """Send the code that confirms the address, and ask for it; alike where the address is a member's (no applicant)."""
    response: HttpResponse
    if applicant is None:
        response = prevent_enumeration(request, email=email)
    else:
        response = complete_signup(request, user=applicant, redirect_url=destination)
    limit_visitor_session(request)
    return response
