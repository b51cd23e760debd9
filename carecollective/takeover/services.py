"""Takes over a legacy database: sign-ins, staff, testers and requests. The V1 messaging tables stay as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection, models, transaction

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.hashers import from_legacy_hash
from carecollective.core.catalog.comparison import Difference, find_changes, pick_legacy_code
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import Facts
from carecollective.core.database import execute, fetch_all
from carecollective.help_requests.services import LIFETIME_DAYS, expire_requests
from carecollective.takeover import legacy
from carecollective.takeover.kept_out import KeptOut, keep_out
from carecollective.takeover.models import Takeover
from rollout.targeting.cohort import INTERNAL_TESTERS

OPERATORS = "Rollout operators"

# If two sign-ins share an address, apart from capitals, it belongs to the older one that was not deleted.
_SIGN_INS = """
SELECT DISTINCT ON (lower(u.email)) p.id, lower(u.email), u.encrypted_password
FROM auth.users u JOIN profiles p ON p.id = u.id
WHERE (p.email IS NULL OR p.email = lower(u.email) AND %(is_first)s) AND u.email <> ''
  AND NOT EXISTS (SELECT FROM profiles taken WHERE taken.email = lower(u.email) AND taken.id <> p.id)
ORDER BY lower(u.email), to_jsonb(u) ->> 'deleted_at' IS NOT NULL, u.created_at, u.id
"""

_WITHOUT_MEMBER = "SELECT count(*) FROM auth.users u WHERE NOT EXISTS (SELECT FROM profiles p WHERE p.id = u.id)"
# Fill in what every page shows or sorts by. A row without a date gets the oldest date.
_GAPS = (
    "UPDATE profiles SET name = 'Neighbour' WHERE btrim(coalesce(name, '')) = ''",
    "UPDATE profiles SET is_admin = false WHERE is_admin IS NULL",
    "UPDATE profiles SET is_beta_tester = false WHERE is_beta_tester IS NULL",
    "UPDATE profiles SET verification_status = 'pending' WHERE verification_status IS NULL",
    """
    UPDATE profiles SET created_at = coalesce((SELECT min(created_at) FROM profiles), clock_timestamp())
    WHERE created_at IS NULL
    """,
    "UPDATE help_requests SET title = 'A request without a title' WHERE btrim(coalesce(title, '')) = ''",
    """
    UPDATE help_requests SET created_at = coalesce(
      updated_at, (SELECT min(created_at) FROM help_requests), clock_timestamp())
    WHERE created_at IS NULL
    """,
    "UPDATE help_requests SET updated_at = created_at WHERE updated_at IS NULL",
)
# The legacy system gave every request an end and ignored it: each open one gets its full time again.
_PROLONG = """
UPDATE help_requests SET expires_at = clock_timestamp() + make_interval(days => %s)
WHERE status = 'open' AND NOT coalesce(is_ongoing, false)
"""
_HAS_RECORD = "SELECT FROM pg_attribute WHERE attrelid = to_regclass('adoption_takeover') AND attname = 'what_runs'"


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was taken over, counted over all runs until the takeover is recorded."""

    members_given_sign_in: int
    members_without_sign_in: int
    sign_ins_without_member: int
    staff: int
    testers: int
    requests_prolonged: int
    gaps_filled: int
    kept_out: KeptOut


@transaction.atomic
def take_over(*, superuser_email: str = "") -> TakenOver:
    """Bring over what the legacy system kept elsewhere. Safe to repeat: it leaves later changes of members alone.

    Until `record_takeover`, the next run goes on where this one stopped. Raises User.DoesNotExist if no member has
    `superuser_email`.
    """
    is_first = not Takeover.objects.exists()
    sign_ins = fetch_all(_SIGN_INS, {"is_first": is_first})
    ((without_member,),) = fetch_all(_WITHOUT_MEMBER)
    for member_id, email, hashed in sign_ins:
        execute(
            "UPDATE profiles SET email = %s, password = %s WHERE id = %s AND email IS NULL",
            [email, from_legacy_hash(hashed or ""), member_id],
        )
    kept_out = keep_out(again=is_first)
    gaps_filled = sum(map(execute, _GAPS))
    prolonged = execute(_PROLONG, [LIFETIME_DAYS]) if is_first else 0
    staff = _join(OPERATORS, User.objects.filter(is_staff=True, is_active=True)) if is_first else 0
    testers = _join(INTERNAL_TESTERS, User.objects.filter(is_beta_tester=True, is_active=True)) if is_first else 0
    if superuser_email:
        superuser = User.objects.get(email=superuser_email.lower())
        User.objects.filter(pk=superuser.pk).update(is_superuser=True, is_staff=True, is_active=True)
    return TakenOver(
        members_given_sign_in=User.objects.filter(pk__in=[row[0] for row in sign_ins], is_active=True).count(),
        members_without_sign_in=User.objects.filter(email=None).count(),
        sign_ins_without_member=without_member,
        staff=staff,
        testers=testers,
        requests_prolonged=prolonged,
        gaps_filled=gaps_filled,
        kept_out=kept_out,
    )


def record_takeover() -> None:
    """Record that the takeover is finished and proven. The first time counts."""
    if not Takeover.objects.exists():
        Takeover.objects.create(what_runs=read_legacy_code())


@transaction.atomic
def read_legacy_code() -> Facts:
    """Read the legacy functions, triggers and policies that run when our roles write."""
    with connection.cursor() as cursor:
        return pick_legacy_code(read_live_catalog(cursor))


def record_legacy_code(**_given: Any) -> None:
    """Record the legacy code for a takeover that has no record of it. Called after each `migrate`."""
    if not fetch_all(_HAS_RECORD):
        # Only a part of the migrations was applied.
        return
    without_record = Takeover.objects.filter(what_runs__isnull=True)
    if without_record.exists():
        without_record.update(what_runs=read_legacy_code())


@transaction.atomic
def accept_changes() -> Sequence[Difference]:
    """Record the legacy code as it is now, and return what had changed."""
    takeover = Takeover.objects.select_for_update().order_by("pk").first()
    if takeover is None:
        return ()
    found = read_legacy_code()
    changes = list(find_changes(takeover.what_runs or {}, found))
    takeover.what_runs = found
    takeover.save(update_fields=["what_runs"])
    return changes


def expire_requests_once_taken_over() -> int:
    """Close the expired requests, unless a legacy database is not taken over yet; return how many."""
    return 0 if legacy.is_waiting() else expire_requests()


def _join(group: str, members: models.QuerySet[User]) -> int:
    found = list(members)
    Group.objects.get(name=group).user_set.add(*found)
    return len(found)
