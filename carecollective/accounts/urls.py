from django.urls import path

from carecollective.accounts import api, views

urlpatterns = [
    path("login", views.sign_in, name="login"),
    path("logout", views.sign_out, name="logout"),
    path("password", views.choose_password, name="password"),
    path("signup", views.sign_up, name="signup"),
    path("account", views.show_account, name="account"),
    path("account/tokens/<str:token_id>", views.end_token, name="account-token"),
    path("account/sign-out", views.sign_out_everywhere, name="account-sign-out"),
    path("help", views.show_help, name="help"),
    path("api/auth/token", api.TokenView.as_view(), name="api-token"),
    path("api/auth/tokens", api.TokensView.as_view(), name="api-tokens"),
    path("api/auth/tokens/<str:token_id>", api.OwnTokenView.as_view(), name="api-own-token"),
    path("api/auth/sign-out", api.SignOutView.as_view(), name="api-sign-out"),
]
