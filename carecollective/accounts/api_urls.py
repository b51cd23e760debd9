from django.urls import path

from carecollective.accounts import api

urlpatterns = [
    path("api/auth/token", api.TokenView.as_view(), name="api-token"),
    path("api/auth/tokens", api.TokensView.as_view(), name="api-tokens"),
    path("api/auth/tokens/<str:token_id>", api.OwnTokenView.as_view(), name="api-own-token"),
    path("api/auth/sign-out", api.SignOutView.as_view(), name="api-sign-out"),
]
