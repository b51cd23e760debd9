"""The guard's lease: the sign of life that it renews after each look, and without which V2 is off by itself."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

GUARD_LEASE_SECONDS = 60
IS_WATCHING = f"renewed_at > clock_timestamp() - interval '{GUARD_LEASE_SECONDS} s'"
# A lease without an end is what tests and rehearsals hold; no program can read its date.
_READ = f"""
SELECT holder, nullif(renewed_at, 'infinity'), {IS_WATCHING},
  CASE WHEN isfinite(renewed_at) THEN extract(epoch FROM clock_timestamp() - renewed_at)::float8 ELSE 0 END
FROM public.rollout_guard_lease
"""  # noqa: S608 (a condition of ours)


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease as it stands. `watching` is what every process goes by; `renewed_at` is None for one without an end."""

    holder: str
    renewed_at: datetime | None
    watching: bool
    age_seconds: float


def read_lease() -> Lease | None:
    """Return the lease as it stands; None when no guard ever ran."""
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        row = cursor.fetchone()
    return None if row is None else Lease(*row)
