from django.urls import path

from rollout.dashboard.api import MyRollout, RolloutStatus
from rollout.dashboard.prometheus import metrics

urlpatterns = [
    path("api/rollout/me", MyRollout.as_view(), name="api-rollout-me"),
    path("api/rollout/status", RolloutStatus.as_view(), name="api-rollout-status"),
    path("metrics", metrics, name="metrics"),
]
