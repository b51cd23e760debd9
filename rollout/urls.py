from django.urls import path

from rollout.api import MyRollout, RolloutStatus
from rollout.metrics import metrics

urlpatterns = [
    path("api/rollout/me", MyRollout.as_view(), name="api-rollout-me"),
    path("api/rollout/status", RolloutStatus.as_view(), name="api-rollout-status"),
    path("metrics", metrics, name="metrics"),
]
