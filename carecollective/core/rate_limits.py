"""How often a member may do a thing, counted in the database so that every process and both versions share one count."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from carecollective.core.database import Member
from carecollective.core.errors import RateLimitExceeded

A_LITTLE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `times` uses of `action` in any `window`, for one member."""

    action: str
    times: int
    window: timedelta


def new_conversations() -> Limit:
    return Limit("start_conversation", settings.CONVERSATIONS_PER_HOUR, timedelta(hours=1))


def messages() -> Limit:
    return Limit("send_message", settings.MESSAGES_PER_MINUTE, timedelta(minutes=1))


def count_use(*, member: Member, limit: Limit) -> None:
    """Count one use within the transaction of the action itself: what is rolled back was not used.

    Raises RateLimitExceeded, with the seconds until the next use is free, when the limit is reached.
    """
    with connection.cursor() as cursor:
        # Held to the end of the transaction: two uses at once by one member are counted one after the other.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{limit.action}:{member.pk}"])
        cursor.execute(
            """
            WITH recent AS (
              SELECT at FROM core_ratelimithit
              WHERE member_id = %(member)s AND action = %(action)s AND at > clock_timestamp() - %(window)s::interval
              ORDER BY at DESC LIMIT %(times)s
            ), used AS (
              INSERT INTO core_ratelimithit (member_id, action)
              SELECT %(member)s, %(action)s WHERE (SELECT count(*) FROM recent) < %(times)s
              RETURNING id
            )
            SELECT EXISTS (SELECT FROM used),
                   (SELECT extract(epoch FROM min(at) + %(window)s::interval - clock_timestamp()) FROM recent)
            """,
            {
                "member": member.pk,
                "action": limit.action,
                "window": f"{limit.window.total_seconds()} seconds",
                "times": limit.times,
            },
        )
        allowed, seconds = cursor.fetchone()
    if not allowed:
        wait = max(1, ceil(seconds or 1))
        if wait <= A_LITTLE_SECONDS:
            raise RateLimitExceeded(retry_after=wait)
        words = _("That was a lot in a short time. Please try again in about %(minutes)d minutes.")
        raise RateLimitExceeded(words % {"minutes": ceil(wait / 60)}, retry_after=wait)


def prune_hits() -> int:
    """Delete what no window reaches any more; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_ratelimithit WHERE at < clock_timestamp() - interval '1 hour'")
        return int(cursor.rowcount)
