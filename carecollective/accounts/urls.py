from django.urls import path

from carecollective.accounts import views

urlpatterns = [
    path("login", views.sign_in, name="login"),
    path("logout", views.sign_out, name="logout"),
    path("password", views.choose_password, name="password"),
    path("signup", views.sign_up, name="signup"),
    path("account", views.show_account, name="account"),
    path("account/tokens/<str:token_id>", views.end_token, name="account-token"),
    path("account/sign-out", views.sign_out_everywhere, name="account-sign-out"),
    path("help", views.show_help, name="help"),
]
