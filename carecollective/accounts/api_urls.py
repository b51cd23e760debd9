from django.urls import path

from carecollective.accounts.api import TokenView

urlpatterns = [path("api/auth/token", TokenView.as_view(), name="api-token")]
