"""Rollbacks: turn V2 off without waiting for any lock, and carry that over to the flag afterwards.

A rollback is one inserted row. Every reader respects it (the view `rollout_state`). The flag's row, the record and the
drain certificate follow: at once if nobody locks them, otherwise by the worker or the guard within seconds of the release.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from django.db import DatabaseError, Error, connection, transaction

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp, fetch_all
from carecollective.formats.moments import moment
from carecollective.postgres import advisory_locks
from rollout.errors import RollbackNotWritten
from rollout.models import Change, Flag, Rollback, Source
from rollout.promotion import drain
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.state import FLAG_NAME

logger = logging.getLogger(__name__)

LOCK_WAIT_MS = 1000
# The process that rolls back also carries it over and asks for the certificate. Others wait for it that long.
LEAVE_ALONE = timedelta(seconds=4)

# The database sets the key, the time and the session's role; the application may not.
INSERT = """
INSERT INTO public.rollout_rollback (actor_id, actor_label, source, reason) VALUES (%s, %s, %s, %s)
RETURNING id, at, database_role
"""
CARRY_OVER = "UPDATE public.rollout_flag SET stage = 'disabled', v1_writes = true WHERE name = %s"
# A row lock is seen as a lock on its table. A session that waits itself is not in the way.
BLOCKERS = """
SELECT DISTINCT ON (held.pid) held.pid, session.usename, session.application_name, session.xact_start
FROM pg_catalog.pg_locks AS held LEFT JOIN pg_catalog.pg_stat_activity AS session ON session.pid = held.pid
WHERE held.granted AND held.pid IS DISTINCT FROM pg_backend_pid()
  AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND CASE held.locktype
    WHEN 'relation' THEN (held.relation = 'public.rollout_flag'::regclass AND held.mode <> 'AccessShareLock')
      OR (held.relation IN ('public.rollout_change'::regclass, 'public.rollout_root_cause'::regclass,
                            'public.rollout_rollback'::regclass, 'public.rollout_drain_certificate'::regclass)
          AND held.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))
    WHEN 'advisory' THEN held.classid = 0 AND held.objsubid = 1 AND held.objid = ANY (%s)
    ELSE false END
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks AS own WHERE own.pid = held.pid AND NOT own.granted)
ORDER BY held.pid
"""


@dataclass(frozen=True, slots=True)
class BlockingSession:
    """A database session that keeps a rollback from being recorded or certified.

    `since` is None where this role may not see it; `pid` is None for a prepared transaction.
    """

    pid: int | None
    role: str
    application: str
    since: datetime | None

    @property
    def words(self) -> str:
        if self.pid is None:
            return "a prepared transaction (see pg_prepared_xacts)"
        said = [f"role {self.role}"] if self.role else []
        said += [f"application {self.application}"] if self.application else []
        said += [f"since {moment(self.since, 'second')}"] if self.since else []
        return f"{self.pid} ({', '.join(said)})" if said else str(self.pid)


def insert(*, actor: User | None, label: str, source: Source, reason: str) -> Rollback:
    """Turn V2 off and V1 writes on for every reader, by one row; return it.

    Raises RollbackNotWritten with one sentence for a person.
    """
    given = {"actor_id": actor.pk if actor else None, "actor_label": label, "source": source.value, "reason": reason}
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            _limit_waiting(cursor)
            cursor.execute(INSERT, list(given.values()))
            pk, at, role = cursor.fetchone()
    except Error as problem:
        raise RollbackNotWritten(_why_not_written(problem)) from problem
    if not connection.in_atomic_block:
        _announce()
    return Rollback(pk=pk, at=at, database_role=role, **given)


def lock_flag() -> Flag:
    """Lock the flag's row until this transaction ends, with every rollback carried over to it.

    Neither readers nor rollbacks wait for this lock.
    """
    flag = Flag.objects.select_for_update(of=("self",), no_key=True).get(name=FLAG_NAME)
    waiting = list(Rollback.objects.filter(change_id=None).order_by("pk").values_list("pk", flat=True))
    if waiting:
        with connection.cursor() as cursor:
            for pk in (*waiting, ""):
                cursor.execute("SELECT set_config('rollout.rollback_id', %s, true)", [str(pk)])
                if pk:
                    cursor.execute(CARRY_OVER, [FLAG_NAME])
        flag.refresh_from_db()
    return flag


def settle() -> None:
    """Carry every rollback over to the flag and the record. Raises django.db.Error if they are locked for a second."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            _limit_waiting(cursor)
        lock_flag()


def change_of(rollback: Rollback) -> Change:
    """Return the change that records the rollback, or one that is not recorded yet, with `is_recorded` False."""
    try:
        change_id = Rollback.objects.filter(pk=rollback.pk).values_list("change_id", flat=True).get()
        if change_id is not None:
            return Change.objects.get(pk=change_id)
        return _unrecorded(rollback, snapshot.read_now().version)
    except DatabaseError as problem:
        logger.warning("The record of a rollback could not be read (%s).", type(problem).__name__)
        return _unrecorded(rollback, 0)


def list_waiting(*, for_at_least: timedelta = timedelta(0)) -> dict[int, Change]:
    """Return the future changes of rollbacks that are not recorded yet, by the rollback's key, the oldest first."""
    waiting = list(Rollback.objects.filter(change_id=None, at__lte=ClockTimestamp() - for_at_least).order_by("pk"))
    flag = Flag.objects.filter(name=FLAG_NAME).first() if waiting else None
    if flag is None:
        return {}
    stages, writes = [flag.stage, *[str(DISABLED)] * len(waiting)], [flag.v1_writes, *[True] * len(waiting)]
    found = {}
    for place, rollback in enumerate(waiting):
        change = found[rollback.pk] = _unrecorded(rollback, flag.version + place + 1)
        change.from_stage, change.from_v1_writes = stages[place], writes[place]
    return found


def finish() -> int:
    """Record and certify unfinished rollbacks; return how many were recorded. For the worker and the guard."""
    left = Rollback.objects.filter(change_id=None, at__lt=ClockTimestamp() - LEAVE_ALONE)
    waiting = left.count()
    if waiting:
        try:
            settle()
        except DatabaseError as problem:
            if not connection.is_usable():
                raise
            logger.info("A rollback is in force and not recorded yet (%s).", type(problem).__name__)
            waiting = 0
    drain.certify_missing(after=LEAVE_ALONE)
    return waiting


def find_blockers() -> tuple[BlockingSession, ...]:
    """List the sessions that hold what a rollback needs to be recorded and certified, the longest first."""
    rows = fetch_all(BLOCKERS, [[advisory_locks.AUDIT_LOG, advisory_locks.V2_STARTS]])
    found = [BlockingSession(pid, role or "", application or "", since) for pid, role, application, since in rows]
    return tuple(sorted(found, key=lambda one: (one.since is None, one.since, one.pid or 0)))


def describe_unfinished() -> str:
    """Say which rollback is not recorded yet and which session is in the way; empty when there is none."""
    waiting = Rollback.objects.filter(change_id=None).order_by("pk").first()
    if waiting is None:
        return ""
    by = f"since {moment(waiting.at, 'second')}, by {waiting.actor_label}"
    return f"V2 is off and V1 writes are on {by}; the record does not show it yet. {describe_blockers()}"


def describe_blockers() -> str:
    """Say which session is in the way of a rollback's record, and that nobody needs to do anything."""
    blockers = find_blockers()
    if not blockers:
        return (
            "No database session is in the way, so it is recorded by itself within seconds. "
            "If it takes longer than a minute, see whether the disk is full."
        )
    said = f"In the way is database session {blockers[0].words}"
    if len(blockers) > 1:
        said += f" and {len(blockers) - 1} more"
    return said + ". It is recorded by itself once that ends."


def _limit_waiting(cursor: "object") -> None:
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_WAIT_MS}ms"])  # type: ignore[attr-defined]


def _announce() -> None:
    """Notify the processes at once. Without this they find the rollback within a second."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {snapshot.CHANNEL}")
    except Error as problem:
        logger.warning("A rollback could not be announced (%s).", type(problem).__name__)


def _unrecorded(rollback: Rollback, version: int) -> Change:
    return Change(
        at=rollback.at,
        actor_id=rollback.actor_id,
        actor_label=rollback.actor_label,
        source=rollback.source,
        reason=rollback.reason,
        database_role=rollback.database_role,
        to_stage=str(DISABLED),
        to_v1_writes=True,
        flag_version=version,
    )


def _why_not_written(problem: Error) -> str:
    match problem.__cause__:
        case psycopg.errors.DiskFull():
            why = "The database's disk is full, so the rollback could not be written."
        case psycopg.errors.ReadOnlySqlTransaction():
            why = "The database takes no writes, so the rollback could not be written."
        case psycopg.errors.LockNotAvailable():
            why = "Somebody has locked the table of rollbacks, so this one could not be written."
        case psycopg.OperationalError(sqlstate=None):
            why = "The database cannot be reached, so the rollback could not be written."
        case cause:
            why = f"The rollback could not be written ({type(cause or problem).__name__})."
    return f"{why} {RollbackNotWritten.message}"
