from django.urls import path

from carecollective.accounts import views

urlpatterns = [
    path("login", views.sign_in, name="login"),
    path("logout", views.sign_out, name="logout"),
    path("password", views.choose_password, name="password"),
    path("signup", views.sign_up, name="signup"),
    path("account", views.show_account, name="account"),
    path("help", views.show_help, name="help"),
]
