from typing import Any

from django.apps import AppConfig

from carecollective.core import health
from rollout import snapshot


class RolloutConfig(AppConfig):
    name = "rollout"
    verbose_name = "Rollout control room"

    def ready(self) -> None:
        health.register("rollout_snapshot", check_snapshot)


def check_snapshot() -> dict[str, Any]:
    """Tell whether this process knows the rollout's state well enough to use it."""
    age = snapshot.age_seconds()
    return {
        "ok": age is not None and age <= snapshot.STALE_AFTER,
        "age_seconds": None if age is None else round(age, 2),
    }
