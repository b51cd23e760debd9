from django.urls import path

from rollout.api import MyRollout

urlpatterns = [path("api/rollout/me", MyRollout.as_view(), name="api-rollout-me")]
