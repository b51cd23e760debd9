from django.urls import path

from rollout.dashboard.api import MyRolloutView, RolloutStatusView
from rollout.dashboard.prometheus import metrics

urlpatterns = [
    path("api/rollout/me", MyRolloutView.as_view(), name="api-rollout-me"),
    path("api/rollout/status", RolloutStatusView.as_view(), name="api-rollout-status"),
    path("metrics", metrics, name="metrics"),
]
