"""allauth's pages at this site's addresses, and the names that it looks our own pages up by."""

from allauth.account import views
from django.urls import path

from carecollective.accounts import account_views
from carecollective.accounts import views as ours
from carecollective.accounts.allauth.pages import entry_page

urlpatterns = [
    path("login", ours.sign_in, name="account_login"),
    path("login/code", entry_page(views.request_login_code), name="account_request_login_code"),
    path("login/code/confirm", entry_page(views.confirm_login_code), name="account_confirm_login_code"),
    path("signup", ours.sign_up, name="account_signup"),
    path("account/email", account_views.change_email, name="account_email"),
    path("account/email/code", entry_page(views.email_verification_sent), name="account_email_verification_sent"),
    path("password/forgotten", ours.request_password_link, name="account_reset_password"),
]
