"""The guard: checks the metrics every five seconds, alerts people, and turns V2 off by itself.

It runs in its own process as the database role carecollective_guard, which can read events and change the stage, but
cannot read messages. Any number of guards may run; the one that holds the lock works. After each check it renews a lease.
When the lease is a minute old, every process keeps V2 off, so V2 never runs unwatched.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import Error, InterfaceError, OperationalError, connection
from django.db.backends.utils import CursorWrapper

from carecollective.core.database import fetch_all, fetch_one
from carecollective.core.session_lock import SessionLock
from carecollective.postgres import advisory_locks
from carecollective.postgres.errors import PostgresError
from rollout.alerts import lifecycle
from rollout.alerts.evidence import FIFTEEN_MINUTES, FIVE_MINUTES, ONE_MINUTE, SLOW_MS, Evidence, Finding
from rollout.alerts.judges import LATEST_ENDINGS, LATEST_STARTS
from rollout.alerts.rules import evaluate_rules
from rollout.errors import RollbackNotWritten
from rollout.gates.observations import read_detector
from rollout.gates.stays import read_stays
from rollout.guard import change_alerts
from rollout.guard.absence import WorkerWatch
from rollout.guard.integrity import Inspector
from rollout.models import Flag, Source
from rollout.models.alerts import Alert
from rollout.promotion import rollbacks
from rollout.promotion.services import REASON_LONGEST, roll_back
from rollout.stages import DISABLED, Stage
from rollout.targeting.guard_lease import GUARD_LEASE_SECONDS, read_lease
from rollout.telemetry import metrics
from rollout.telemetry.metrics import Ending
from rollout.versions import MessagingVersion

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
STANDBY_SECONDS = 2.0
STALLED_SECONDS = 20
LABEL = "The guard"

_STAGE_SINCE = """
SELECT s.stage, clock_timestamp(), coalesce(s.waiting_since, (
  SELECT c.at FROM rollout_change c WHERE c.from_stage IS DISTINCT FROM c.to_stage ORDER BY c.id DESC LIMIT 1))
FROM rollout_state s
"""
# The worst minute of the last five: errors of an outage are written when it is over.
_DENSEST_MINUTE = """
SELECT coalesce(max(within), 0) FROM (
  SELECT count(*) OVER (ORDER BY timestamp RANGE BETWEEN make_interval(secs => %s) PRECEDING AND CURRENT ROW) AS within
  FROM application_logs WHERE connection_error AND timestamp > clock_timestamp() - make_interval(secs => %s)) AS counted
"""
_RENEW = """
INSERT INTO rollout_guard_lease (id, holder, renewed_at) VALUES (1, %s, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at
"""
_TERMINATE_STALLED = """
SELECT pg_terminate_backend(l.pid) FROM pg_locks l, rollout_guard_lease g
WHERE l.locktype = 'advisory' AND l.classid = 0 AND l.objid = %(key)s AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND g.renewed_at < clock_timestamp() - make_interval(secs => %(seconds)s)
  AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid
              AND a.backend_start < clock_timestamp() - make_interval(secs => %(seconds)s))
"""
# The server must notice within seconds that a guard's host is gone, and free the lock. Local sockets need no keepalive.
_NOTICE_DEATH = ("SET tcp_keepalives_idle = 2", "SET tcp_keepalives_interval = 1", "SET tcp_keepalives_count = 3")


def gather(*, broken: Mapping[str, int]) -> Evidence:
    """Read the metrics that the rules judge. It reads numbers only, and nothing that members wrote."""
    row = fetch_one(_STAGE_SINCE)
    if row is None:
        raise Flag.DoesNotExist
    stage, now, stage_since = row
    ((densest,),) = fetch_all(_DENSEST_MINUTE, [ONE_MINUTE, FIVE_MINUTES])
    lately = metrics.Window(FIVE_MINUTES)
    # Failures of the last stage must not turn the next one off.
    of_stage = metrics.Span(max(now - timedelta(seconds=FIVE_MINUTES), stage_since or now))
    week = metrics.Span(max(now - A_WEEK, stage_since or now))
    return Evidence(
        at=now,
        stage=Stage.parse(stage),
        stage_since=stage_since,
        starts=metrics.creation_success(of_stage),
        v1_starts=metrics.creation_success(lately, version=MessagingVersion.V1),
        latest_v1_starts=metrics.latest_starts(A_DAY, version=MessagingVersion.V1, limit=LATEST_STARTS),
        endings=metrics.endings(lately),
        stage_endings=metrics.endings(of_stage),
        latest={name: metrics.latest_endings(week, version=version, limit=LATEST_ENDINGS) for name, version in _GROUPS},
        operations={name: metrics.outcomes(lately, version=version) for name, version in _GROUPS},
        sends={name: metrics.latency_p95(lately, version=version) for name, version in _GROUPS},
        duplicates=metrics.duplicates(metrics.Window(FIFTEEN_MINUTES)),
        slow=metrics.slow_calls(lately, over_ms=SLOW_MS),
        connection_errors=densest,
        detector=read_detector(),
        broken=broken,
    )


def gather_endings_before() -> tuple[Ending, ...]:
    """Count how operations ended in the latest earlier stage that has enough of them."""
    for stay in read_stays()[1:]:
        if stay.ended is None:
            continue
        # Its last week only: a stage may have lasted for months.
        began = max(stay.began, stay.ended - A_WEEK)
        found = metrics.endings(metrics.Span(began, stay.ended))
        if sum(ending.count for ending in found) >= ENOUGH_TO_COMPARE:
            return found
    return ()


_GROUPS = (("v1", "v1"), ("v2", "v2"), ("both", None))
A_DAY = metrics.Window(24 * 3600)
A_WEEK = timedelta(days=7)
ENOUGH_TO_COMPARE = 20


class Guard:
    """Watches while it holds the lock; is the standby while another guard holds it.

    The lease is renewed on the lock's connection, so a guard that loses the lock stops renewing.
    """

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}"
        self.inspector = Inspector()
        self.lock = SessionLock(advisory_locks.GUARD, prepare=_NOTICE_DEATH, when_refused=_terminate_stalled)
        self.before: tuple[datetime | None, tuple[Ending, ...]] | None = None
        self.watch = WorkerWatch()
        # The kinds of problem that the log has already, and those of this check.
        self.reported: set[str] = set()
        self.met: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set; a check under way is finished first."""
        while not stop.is_set():
            began = time.monotonic()
            pause = EVERY_SECONDS if self.tick() else STANDBY_SECONDS
            stop.wait(max(0.0, began + pause - time.monotonic()))
        self.lock.release()

    def tick(self) -> bool:
        """Check once if this guard holds the lock, and return whether it does. After any problem the next tick tries again."""
        self.met = set()
        try:
            if not self._holds_lock():
                return False
            self._note_absence(self.look().stage)
            # Only now: a guard that cannot read the metrics must let the lease run out.
            self._renew()
            rollbacks.finish()
            self.reported = self.met
        except RollbackNotWritten as problem:
            # The lease is not renewed, so V2 goes off within the minute in any case.
            self._report(problem, f"The guard could not roll back and will try again. {problem.message}", logging.ERROR)
        except PostgresError:
            # A pooler stands where PostgreSQL should: two guards would both hold the lock.
            raise
        except Error as problem:
            self._report(problem, f"The guard could not look ({type(problem).__name__}) and will try again.")
            if isinstance(problem, OperationalError | InterfaceError):
                self.lock.release()
            connection.close()
        except Exception as problem:  # noqa: BLE001 -- logged with its traceback
            self._report(problem, "The guard could not look and will try again.", logging.ERROR, with_traceback=True)
            connection.close()
        return self.lock.is_held

    def look(self) -> Evidence:
        """Judge the metrics once: raise alerts, turn V2 off where a rule says so, and resolve the alerts that are over."""
        evidence = self._gather()
        is_off = evidence.stage == DISABLED
        for finding in evaluate_rules(evidence):
            may_act = finding.rule.disables_v2 and not is_off
            # A rollback ends V2's findings, and has an alert itself. Only damage that stays until repaired (`total`)
            # gets its own: it records whether the damage was known.
            alert = None if may_act and finding.total is None else self._note(finding, evidence.stage)
            if may_act and lifecycle.may_turn_off(finding, alert=alert, stage_since=evidence.stage_since):
                disable(finding)
                is_off = True
                if alert is not None:
                    lifecycle.mark_disabled(alert)
                self._note_changes()
        self._note_changes()
        self.watch.look(stage=evidence.stage)
        lifecycle.resolve_quiet()
        return evidence

    def _note_changes(self) -> None:
        try:
            change_alerts.note_changes()
        except Error as problem:
            # The next check, or the worker, records it.
            self._report(problem, f"A change could not be noted yet ({type(problem).__name__}).")

    def _gather(self) -> Evidence:
        evidence = gather(broken=self.inspector.look())
        if self.before is None or self.before[0] != evidence.stage_since:
            # It does not change during a stage, so it is counted once for each.
            self.before = evidence.stage_since, gather_endings_before()
        return replace(evidence, endings_before=self.before[1])

    def _note(self, finding: Finding, stage: Stage) -> Alert | None:
        try:
            return lifecycle.raise_alert(finding, stage=stage)
        except Error as problem:
            if not finding.rule.disables_v2:
                raise
            # Turning V2 off comes first; the next check finds the same and records it.
            self._report(problem, f"An alert could not be recorded yet ({type(problem).__name__}).")
            return None

    def _report(
        self, problem: Exception, message: str, level: int = logging.WARNING, *, with_traceback: bool = False
    ) -> None:
        """Log each kind of problem once while it lasts."""
        kind = type(problem).__name__
        if kind not in self.reported:
            logger.log(level, "%s", message, exc_info=problem if with_traceback else None)
        self.reported.add(kind)
        self.met.add(kind)

    def _note_absence(self, stage: Stage) -> None:
        """Record for how long no guard watched, once it is over."""
        lease = read_lease()
        if lease is None or lease.renewed_at is None or lease.watching:
            return
        if stage == DISABLED:
            lifecycle.resolve(lifecycle.ABSENCE)
            return
        began_at = lease.renewed_at + timedelta(seconds=GUARD_LEASE_SECONDS)
        until = lease.renewed_at + timedelta(seconds=lease.age_seconds)
        lifecycle.record_absence(began_at=began_at, until=until, stage=stage)

    def _renew(self) -> None:
        with self.lock.cursor() as cursor:
            cursor.execute(_RENEW, [self.holder])

    def _holds_lock(self) -> bool:
        if not self.lock.is_held and self.lock.take():
            logger.info("The guard watches the rollout.")
        return self.lock.is_held


def _terminate_stalled(cursor: CursorWrapper) -> None:
    """Terminate the session of a guard that holds the lock but is stopped or stuck. The next tick takes over."""
    cursor.execute(_TERMINATE_STALLED, {"key": advisory_locks.GUARD, "seconds": STALLED_SECONDS})
    if cursor.rowcount:
        logger.warning("The guard that holds the lock has not looked for %s s and was cut off.", STALLED_SECONDS)


def disable(finding: Finding) -> None:
    """Roll back because of a finding, with its message as the reason."""
    reason = f"{finding.words} Turned off by the guard."
    roll_back(actor=None, reason=reason[:REASON_LONGEST], source=Source.GUARD, actor_label=LABEL)
