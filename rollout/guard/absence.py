"""The guard and the worker watch each other: either's absence is told while it lasts."""

import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection

from carecollective.core.database import connected_as, fetch_all
from carecollective.settings import role_url
from carecollective.web import health
from rollout.alerts import lifecycle, notifications
from rollout.alerts.evidence import Finding
from rollout.alerts.rules import rule_of
from rollout.guard import v1_trial
from rollout.models.alerts import Severity
from rollout.stages import DISABLED, Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import nobody_can_start
from rollout.targeting.guard_lease import GUARD_LEASE_SECONDS, read_lease
from rollout.targeting.state import RolloutState

V2_TABLES_MISSING = "V2's tables are missing from the database, so V2 is off by itself."
SILENT_SECONDS = 60.0
# A process that has just started gives the others a moment: all start together.
STARTING_SECONDS = 20.0
_BEAT = """
SELECT extract(epoch FROM clock_timestamp() - beat_at)::float, stuck_tasks FROM core_workerheartbeat WHERE name = 'worker'
"""
_STARTED_AT = time.monotonic()


def check_guard() -> int:
    """Alert while no guard watches, and while nobody can start a conversation. For the worker; returns what it noted."""
    state, up_for = snapshot.read_now(), time.monotonic() - _STARTED_AT
    # That nobody can start comes first: it says all that the other would.
    return check_tables(state) + check_starts(state, up_for=up_for) + _check_lease(state, up_for)


def _check_lease(state: RolloutState, up_for: float) -> int:
    lease = read_lease()
    if lease is not None and lease.watching:
        lifecycle.resolve("guard_absent")
        return 0
    # Seen by this very process for long enough: a site that was switched off overnight is no alarm in the morning.
    silent = up_for if lease is None else min(lease.age_seconds, up_for)
    if silent < GUARD_LEASE_SECONDS:
        return 0
    seen = (
        "No guard has ever watched the rollout"
        if lease is None
        else f"No guard has watched for {lease.age_seconds:.0f} s"
    )
    is_off = state.stage == DISABLED
    v2 = "V2 is off anyway (disabled)" if is_off else f"V2 is off by itself (the stage is {state.stage})"
    _note(
        "guard_absent",
        f"{seen}. {v2}.",
        stage=state.stage,
        severity=Severity.WARNING if is_off else Severity.CRITICAL,
    )
    return 1


def check_tables(state: RolloutState) -> int:
    """Alert at once while V2's tables are missing: somebody dropped them beneath the site."""
    if state.installed:
        lifecycle.resolve("v2_tables_missing")
        return 0
    _note("v2_tables_missing", V2_TABLES_MISSING, stage=state.stage)
    return 1


def check_starts(state: RolloutState, *, up_for: float) -> int:
    """Alert at once while neither messaging takes a new conversation of anybody."""
    if not nobody_can_start(state=state, override=settings.MESSAGING_V2_ROLLOUT):
        lifecycle.resolve("members_cannot_start")
        return 0
    if not state.guarded and up_for < STARTING_SECONDS:
        return 0
    without = "a guard" if state.installed else "its tables"
    why = (
        "V2 is off"
        if state.stage == DISABLED
        else f"V2 is off by itself without {without} (the stage is {state.stage})"
    )
    _note("members_cannot_start", f"No member can start a conversation: V1 is frozen and {why}.", stage=state.stage)
    return 1


class WorkerWatch:
    """Alerts while the worker is gone or a task of it hangs, and does in its place what cannot wait. For the guard."""

    def __init__(self) -> None:
        self.started_at = time.monotonic()
        self.threads: dict[Callable[[], None], threading.Thread] = {}

    def look(self, *, stage: Stage) -> None:
        """Look at the worker's sign of life once."""
        up_for = time.monotonic() - self.started_at
        state = snapshot.read_now()
        check_tables(state)
        check_starts(state, up_for=up_for)
        row = next(iter(fetch_all(_BEAT)), None)
        age, stuck = (None, []) if row is None else (row[0], row[1].split())
        silent = up_for if age is None else min(age, up_for)
        if age is not None and age < health.WORKER_SILENCE_SECONDS and not stuck:
            lifecycle.resolve("worker_absent")
            return
        if silent >= health.WORKER_SILENCE_SECONDS or stuck:
            self._run_beside(_deliver)
            self._run_beside(_try_v1)
        if silent >= SILENT_SECONDS or stuck:
            _note("worker_absent", _describe(age, stuck, silent), stage=stage)

    def _run_beside(self, work: Callable[[], None]) -> None:
        """Do the worker's work beside the looks: neither an address that never answers nor a lock holds up a look."""
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
        "The worker has never given a sign of life." if age is None else f"The worker was last heard {age:.0f} s ago."
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
        # As members do it. The guard's own role may not read what they write.
        with connected_as(role_url("web")):
            v1_trial.try_v1()
    except Error as problem:
        v1_trial.logger.warning("V1 could not be tried in the worker's place (%s).", type(problem).__name__)
    finally:
        connection.close()


def _note(kind: str, words: str, *, stage: Stage, severity: Severity | None = None) -> None:
    rule = rule_of(kind)
    lifecycle.raise_alert(Finding(rule, words, {}, severity=severity), stage=stage)
