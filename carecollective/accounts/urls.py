from django.urls import include, path

from carecollective.accounts import account_views, api, views
from carecollective.accounts.allauth import urls as allauth_urls

urlpatterns = [
    path("", include("carecollective.accounts.preferences.urls")),
    path("login", views.sign_in, name="login"),
    path("logout", views.sign_out, name="logout"),
    path("password", views.choose_password, name="password"),
    path("password/forgotten", views.request_password_link, name="password-forgotten"),
    path("signup", views.sign_up, name="signup"),
    path("account", account_views.show_account, name="account"),
    path("account/email", account_views.change_email, name="account-email"),
    path("account/email/send-code", account_views.send_address_code, name="account-send-code"),
    path("account/password", account_views.change_password, name="account-password"),
    path("account/sessions/others", account_views.end_other_sessions, name="account-end-others"),
    path("account/sessions/<str:session_id>", account_views.end_session, name="account-end-session"),
    path("account/tokens/<str:token_id>", account_views.end_token, name="account-token"),
    path("account/sign-out", account_views.sign_out_everywhere, name="account-sign-out"),
    *allauth_urls.urlpatterns,
    path("help", views.show_help, name="help"),
    path("api/auth/token", api.TokenView.as_view(), name="api-token"),
    path("api/auth/tokens", api.TokensView.as_view(), name="api-tokens"),
    path("api/auth/tokens/<str:token_id>", api.OwnTokenView.as_view(), name="api-own-token"),
    path("api/auth/sign-out", api.SignOutView.as_view(), name="api-sign-out"),
]
