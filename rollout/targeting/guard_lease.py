"""The guard's lease: renewed after each check. A minute without it turns V2 off."""

from dataclasses import dataclass
from datetime import datetime

from carecollective.core.database import fetch_one

GUARD_LEASE_SECONDS = 60
IS_WATCHING = f"renewed_at > clock_timestamp() - interval '{GUARD_LEASE_SECONDS} s'"
# Tests and rehearsals hold a lease until 'infinity', which Python has no date for.
_READ = f"""
SELECT holder, nullif(renewed_at, 'infinity'), {IS_WATCHING},
  CASE WHEN isfinite(renewed_at) THEN extract(epoch FROM clock_timestamp() - renewed_at)::float8 ELSE 0 END
FROM public.rollout_guard_lease
"""  # noqa: S608 (a condition of ours)


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease now. V2 is on only while `watching`; `renewed_at` is None for a lease without an end."""

    holder: str
    renewed_at: datetime | None
    watching: bool
    age_seconds: float


def read_lease() -> Lease | None:
    """Return the lease; None when no guard ever ran."""
    row = fetch_one(_READ)
    return None if row is None else Lease(*row)
