"""The drain certificate: a proof that no V2 start from before a rollback can still commit.

A V2 start takes a shared advisory lock until its transaction ends, and reads the flag only after that. So once `disabled`
is committed and this lock was taken exclusively, every start has ended or will read `disabled`.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp, fetch_ahead, fetch_all
from carecollective.postgres import advisory_locks
from carecollective.postgres.backend.prepared import Prepared
from rollout.errors import NothingToCertify
from rollout.gates.stays import read_last_rollback
from rollout.models import DrainCertificate
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.cohort import decision_for
from rollout.targeting.state import RolloutState
from rollout.versions import MessagingVersion

WAIT_MS = 1000
_ENTER = Prepared(f"SELECT pg_advisory_xact_lock_shared({advisory_locks.V2_STARTS})")

HOLDERS = """
SELECT held.pid, COALESCE(session.application_name, ''), session.xact_start
FROM pg_catalog.pg_locks AS held LEFT JOIN pg_catalog.pg_stat_activity AS session ON session.pid = held.pid
WHERE held.locktype = 'advisory' AND held.classid = 0 AND held.objid = %s AND held.objsubid = 1 AND held.granted
  AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND held.pid <> pg_backend_pid()
ORDER BY session.xact_start, held.pid
"""


def enter_v2_start(*, member: User, known: RolloutState) -> Callable[[], MessagingVersion | None]:
    """Begin a V2 start inside the caller's transaction, with its next statement. `known` is the state by which it is one.

    Returns a function that returns the version it must use. Ask it before anything is written: this is no longer V2 if the
    rollout was rolled back since the caller decided. The flag is read once the lock is held, by a statement of its own.
    """
    rows = fetch_ahead((_ENTER, None), (snapshot.READ_AGAIN, None))

    def version() -> MessagingVersion | None:
        state = snapshot.state_again(rows()[1], known)
        return MessagingVersion.V2 if state is known else decision_for(member, state).version

    return version


def certify(*, flag_version: int) -> DrainCertificate:
    """Prove that no V2 start commits from now on while the flag stays at `flag_version`. Store and return the proof.

    If a start is still running after a second, the returned row has no `issued_at` and names the sessions in the way.
    Raises NothingToCertify unless the flag is at that version and at `disabled`.
    """
    if connection.in_atomic_block:
        raise RuntimeError("Inside a transaction the rollback is not committed yet, so there is nothing to certify.")
    return certify_now(flag_version=flag_version, wait_ms=WAIT_MS) or _report(flag_version)


def certify_now(*, flag_version: int, wait_ms: int = 50) -> DrainCertificate | None:
    """Issue the certificate within `wait_ms`; return None, and store nothing, while a start is running.

    Raises NothingToCertify.
    """
    try:
        return _issue(flag_version, wait_ms)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
    return None


def latest_attempt() -> DrainCertificate | None:
    """Return the latest attempt since the last rollback, preferring an issued one; None without any."""
    rollback = read_last_rollback()
    if rollback is None:
        return None
    attempts = list(DrainCertificate.objects.filter(flag_version__gte=rollback.version))
    return next((attempt for attempt in attempts if attempt.issued_at), attempts[0] if attempts else None)


def certify_missing(*, after: timedelta) -> None:
    """Issue the certificate that the last rollback lacks, once the rollback is `after` old."""
    state = snapshot.read_now()
    rollback = read_last_rollback(after=after) if state.stage == DISABLED else None
    if rollback is None:
        return
    if DrainCertificate.objects.filter(flag_version__gte=rollback.version, issued_at__isnull=False).exists():
        return
    # If the flag has just changed again, there is nothing to prove.
    with suppress(NothingToCertify):
        certify_now(flag_version=state.version)


def _issue(flag_version: int, wait_ms: int) -> DrainCertificate:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true), clock_timestamp()", [str(wait_ms)])
            asked_at = cursor.fetchone()[1]
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_locks.V2_STARTS])
            cursor.execute("SELECT clock_timestamp()")
            issued_at = cursor.fetchone()[0]
        state = snapshot.read_now()
        if (state.stage, state.version) != (DISABLED, flag_version):
            raise NothingToCertify
        return DrainCertificate.objects.create(
            flag_version=flag_version,
            asked_at=asked_at,
            issued_at=issued_at,
            waited_ms=(issued_at - asked_at).total_seconds() * 1000,
        )


def _report(flag_version: int) -> DrainCertificate:
    """Store an attempt without a proof, with the sessions that are inside a V2 start now, the oldest first."""
    holders = [
        {"pid": pid, "application": application, "since": since.isoformat() if since else None}
        for pid, application, since in fetch_all(HOLDERS, [advisory_locks.V2_STARTS])
    ]
    return DrainCertificate.objects.create(
        flag_version=flag_version, asked_at=ClockTimestamp(), waited_ms=WAIT_MS, holders=holders
    )
