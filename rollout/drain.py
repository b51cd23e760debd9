"""After the switch, the last one out: a proof that no V2 start which began before a rollback is still to be committed.

A start in V2 holds a shared lock until its transaction ends, and looks at the flag only once it has it. Who then commits
`disabled` and gets the same lock for itself alone knows that each start has either ended or will see `disabled`.
"""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from carecollective.core.database import ClockTimestamp
from rollout import snapshot
from rollout.cohort import decide, gather_facts
from rollout.errors import NothingToCertify
from rollout.models import Change, DrainCertificate, Flag
from rollout.stages import DISABLED
from rollout.state import FLAG_NAME
from rollout.versions import MessagingVersion

if TYPE_CHECKING:
    from carecollective.accounts.models import User

# Any number that fits in 32 bits will do, as long as nothing else of ours uses it.
LOCK_KEY = 7_262_012
WAIT_MS = 1000

HOLDERS = """
SELECT held.pid, COALESCE(session.application_name, ''), session.xact_start
FROM pg_catalog.pg_locks AS held LEFT JOIN pg_catalog.pg_stat_activity AS session ON session.pid = held.pid
WHERE held.locktype = 'advisory' AND held.classid = 0 AND held.objid = %s AND held.objsubid = 1 AND held.granted
  AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND held.pid <> pg_backend_pid()
ORDER BY session.xact_start, held.pid
"""


def enter_v2_start(*, member: "User") -> MessagingVersion | None:
    """Begin a start in V2 inside the caller's transaction, and return the version that it may use after all.

    Not V2 any more when the rollout was taken back since the caller asked; the answer then is what `decide` says now.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK_KEY])
    # A statement of its own: one that waited for the lock still sees the flag as it was before.
    state, override = snapshot.read_now(), settings.MESSAGING_V2_ROLLOUT
    facts = gather_facts(member=member, state=state, override=override)
    return decide(state=state, member=facts, override=override).version


def certify(*, flag_version: int) -> DrainCertificate:
    """Prove that no V2 start commits from now on, as long as the flag stays at `flag_version`; keep and return the proof.

    After a second in vain the row that is returned has no `issued_at` and names the sessions that stood in the way.
    Raises NothingToCertify unless that version is the present one, and is `disabled`.
    """
    if connection.in_atomic_block:
        raise RuntimeError("Inside a transaction nothing has been committed yet that could be certified.")
    try:
        return _issue(flag_version)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
    return _report(flag_version)


def latest_attempt() -> DrainCertificate | None:
    """Return the last attempt since V2 was last taken from members, an issued one before any other; None if nobody asked."""
    back = (
        Change.objects.filter(to_stage=str(DISABLED)).exclude(from_stage=str(DISABLED)).exclude(from_stage=None).first()
    )
    if back is None:
        return None
    attempts = list(DrainCertificate.objects.filter(flag_version__gte=back.flag_version))
    return next((attempt for attempt in attempts if attempt.issued_at), attempts[0] if attempts else None)


def list_holders() -> list[dict[str, Any]]:
    """List the sessions that are inside a V2 start now, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS, [LOCK_KEY])
        rows = cursor.fetchall()
    return [
        {"pid": pid, "application": application, "since": since.isoformat() if since else None}
        for pid, application, since in rows
    ]


def _issue(flag_version: int) -> DrainCertificate:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true), clock_timestamp()", [str(WAIT_MS)])
            asked_at = cursor.fetchone()[1]
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
            cursor.execute("SELECT clock_timestamp()")
            issued_at = cursor.fetchone()[0]
        found = Flag.objects.filter(name=FLAG_NAME).values_list("stage", "version").first()
        if found != (str(DISABLED), flag_version):
            raise NothingToCertify
        return DrainCertificate.objects.create(
            flag_version=flag_version,
            asked_at=asked_at,
            issued_at=issued_at,
            waited_ms=(issued_at - asked_at).total_seconds() * 1000,
        )


def _report(flag_version: int) -> DrainCertificate:
    with transaction.atomic():
        return DrainCertificate.objects.create(
            flag_version=flag_version, asked_at=ClockTimestamp(), waited_ms=WAIT_MS, holders=list_holders()
        )
