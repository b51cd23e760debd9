from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from carecollective.core import errors
from carecollective.observability import sentry
from carecollective.web import health
from rollout.promotion import approval_proofs
from rollout.targeting import guard_lease, snapshot
from rollout.telemetry import events


class RolloutConfig(AppConfig):
    name = "rollout"
    verbose_name = "Rollout control room"

    def ready(self) -> None:
        errors.watch_database(events.count_lost_connection)
        health.register("guard", check_guard, is_essential=False, unknown={"seconds_since_look": None})
        health.register("rollout_snapshot", check_snapshot, is_essential=True, unknown={"age_seconds": None})
        v2_tables = [model._meta.db_table for model in apps.get_app_config("messaging_v2").get_models()]
        health.register("messaging_v2", check_v2_tables, is_essential=False, unknown={}, tables=v2_tables)
        sentry.add_tags_of(tags_of_rollout)
        post_migrate.connect(approval_proofs.install_key, sender=self)


def check_guard() -> dict[str, Any]:
    """Tell whether a guard watches, at any stage."""
    found = guard_lease.read_lease()
    age = None if found is None else round(found.age_seconds, 1)
    if found is not None and found.watching:
        return {"ok": True, "seconds_since_look": age}
    message = "No guard watches the rollout: V2 is off, or stays off, until one does."
    return {"ok": False, "seconds_since_look": age, "message": message}


def check_snapshot() -> dict[str, Any]:
    """Tell whether this process knows the rollout's state well enough to use it."""
    age = snapshot.age_seconds()
    is_known = age is not None and age <= snapshot.STALE_AFTER
    found = {"ok": is_known, "age_seconds": None if age is None else round(age, 2)}
    return found if is_known else found | {"message": "This process does not know the stage: nothing starts in V2."}


def check_v2_tables() -> dict[str, Any]:
    """Tell whether V2's tables are there, by the database itself: a process's copy may be a second old."""
    if snapshot.read_now().installed:
        return {"ok": True}
    message = "V2's tables are missing, so V2 is off: `manage.py rollout status` says what to do."
    return {"ok": False, "message": message}


def tags_of_rollout() -> dict[str, str]:
    """Tag an error report with the stage and version, where known without a query."""
    operation = events.current()
    version = operation.version if operation else None
    return {"stage": events.known_stage() or "unknown", **({"version": version.value} if version else {})}
