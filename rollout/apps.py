from typing import Any

from django.apps import AppConfig

from carecollective.core import errors, health, sentry
from rollout import events, snapshot


class RolloutConfig(AppConfig):
    name = "rollout"
    verbose_name = "Rollout control room"

    def ready(self) -> None:
        errors.watch_database(events.count_lost_connection)
        health.register("rollout_snapshot", check_snapshot)
        sentry.add_tags_of(tags_of_rollout)


def check_snapshot() -> dict[str, Any]:
    """Tell whether this process knows the rollout's state well enough to use it."""
    age = snapshot.age_seconds()
    return {
        "ok": age is not None and age <= snapshot.STALE_AFTER,
        "age_seconds": None if age is None else round(age, 2),
    }


def tags_of_rollout() -> dict[str, str]:
    """Say at which stage an error befell us, where this process knows without asking, and in which version."""
    operation = events.current()
    version = operation.version if operation else None
    return {"stage": events.known_stage() or "unknown", **({"version": version.value} if version else {})}
