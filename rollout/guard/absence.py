"""The guard and the worker watch each other, and alert while the other is gone."""

import threading
import time
from collections.abc import Callable

from django.db import Error, connection

from carecollective.core.database import connected_as
from carecollective.settings import role_url
from carecollective.web import health
from rollout.alerts import lifecycle, notifications
from rollout.guard import v1_trial
from rollout.models.alerts import Severity
from rollout.stages import DISABLED, Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import nobody_can_start
from rollout.targeting.guard_lease import GUARD_LEASE_SECONDS, read_lease
from rollout.targeting.state import RolloutState

V2_TABLES_MISSING = "V2's tables are missing from the database, so V2 is off by itself."
SILENT_SECONDS = 60.0
# All processes start together: give the others a moment.
STARTING_SECONDS = 20.0
_STARTED_AT = time.monotonic()


def check_guard() -> int:
    """Alert while no guard watches or nobody can start a conversation. Return how many alerts; for the worker."""
    state, up_for = snapshot.read_now(), time.monotonic() - _STARTED_AT
    # That nobody can start comes first: it silences the alert about the guard.
    return check_tables(state) + check_starts(state, up_for=up_for) + _check_lease(state, up_for)


def _check_lease(state: RolloutState, up_for: float) -> bool:
    lease = read_lease()
    if lease is not None and lease.watching:
        lifecycle.resolve("guard_absent")
        return False
    # This process must have seen it for long enough: a site that was off overnight raises no alert in the morning.
    silent = up_for if lease is None else min(lease.age_seconds, up_for)
    if silent < GUARD_LEASE_SECONDS:
        return False
    seen = "No guard has ever watched the rollout"
    if lease is not None:
        seen = f"No guard has watched for {lease.age_seconds:.0f} s"
    is_off = state.stage == DISABLED
    v2 = "V2 is off anyway (disabled)" if is_off else f"V2 is off by itself (the stage is {state.stage})"
    severity = Severity.WARNING if is_off else Severity.CRITICAL
    return lifecycle.raise_or_resolve("guard_absent", f"{seen}. {v2}.", stage=state.stage, severity=severity)


def check_tables(state: RolloutState) -> bool:
    """Alert while V2's tables are missing; return whether they are."""
    message = "" if state.installed else V2_TABLES_MISSING
    return lifecycle.raise_or_resolve("v2_tables_missing", message, stage=state.stage)


def check_starts(state: RolloutState, *, up_for: float) -> bool:
    """Alert while nobody can start a conversation; return whether that is so."""
    if not nobody_can_start(state):
        lifecycle.resolve("members_cannot_start")
        return False
    if not state.guarded and up_for < STARTING_SECONDS:
        return False
    why = "V2 is off"
    if state.stage != DISABLED:
        without = "a guard" if state.installed else "its tables"
        why = f"V2 is off by itself without {without} (the stage is {state.stage})"
    message = f"No member can start a conversation: V1 is frozen and {why}."
    return lifecycle.raise_or_resolve("members_cannot_start", message, stage=state.stage)


class WorkerWatch:
    """Alerts while the worker is gone or hangs, and does its urgent work meanwhile. For the guard."""

    def __init__(self) -> None:
        self.started_at = time.monotonic()
        self.threads: dict[Callable[[], None], threading.Thread] = {}

    def look(self, *, stage: Stage) -> None:
        """Check the worker's heartbeat once."""
        up_for = time.monotonic() - self.started_at
        state = snapshot.read_now()
        check_tables(state)
        check_starts(state, up_for=up_for)
        age, stuck = health.read_heartbeat()
        silent = up_for if age is None else min(age, up_for)
        if age is not None and age < health.WORKER_SILENCE_SECONDS and not stuck:
            lifecycle.resolve("worker_absent")
            return
        if silent >= health.WORKER_SILENCE_SECONDS or stuck:
            self._run_beside(_deliver)
            self._run_beside(_try_v1)
        if silent >= SILENT_SECONDS or stuck:
            lifecycle.raise_or_resolve("worker_absent", _describe(age, stuck, silent), stage=stage)

    def _run_beside(self, work: Callable[[], None]) -> None:
        """Do the worker's work in a thread: a slow address must not delay the guard."""
        thread = self.threads.get(work)
        if thread is None or not thread.is_alive():
            self.threads[work] = threading.Thread(
                target=work, name=f"in the worker's place: {work.__name__}", daemon=True
            )
            self.threads[work].start()


def _describe(age: float | None, stuck: list[str], silent: float) -> str:
    if silent < SILENT_SECONDS:
        return f"The worker hangs in {', '.join(stuck)}."
    return (
        f"The worker was last heard {age:.0f} s ago."
        if age is not None
        else "The worker has never given a sign of life."
    )


def _deliver() -> None:
    try:
        notifications.deliver_waiting()
    except Error:
        notifications.logger.exception("Alerts could not be sent in the worker's place.")
    finally:
        connection.close()


def _try_v1() -> None:
    try:
        # As a member's request does; the guard's own role may not read messages.
        with connected_as(role_url("web")):
            v1_trial.try_v1()
    except Error as problem:
        v1_trial.logger.warning("V1 could not be tried in the worker's place (%s).", type(problem).__name__)
    finally:
        connection.close()
