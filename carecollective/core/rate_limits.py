"""Rate limits for members and clients, counted in the database so that all processes share one count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from carecollective.core.client_ip import client_ip
from carecollective.core.database import Member, execute, fetch_one
from carecollective.core.errors import RateLimitExceeded
from carecollective.postgres.backend.prepared import Prepared

A_LITTLE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `times` uses of `action` in any `window`, for one member or one client."""

    action: str
    times: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a limit: `remaining` uses now, and one more in `reset` seconds."""

    limit: Limit
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """Return the header fields of the IETF draft on rate limits."""
        window = round(self.limit.window.total_seconds())
        return {
            "RateLimit-Policy": f'"{self.limit.action}";q={self.limit.times};w={window}',
            "RateLimit": f'"{self.limit.action}";r={self.remaining};t={self.reset}',
        }


def new_conversations() -> Limit:
    return Limit("start_conversation", settings.CONVERSATIONS_PER_HOUR, timedelta(hours=1))


def messages() -> Limit:
    return Limit("send_message", settings.MESSAGES_PER_MINUTE, timedelta(minutes=1))


def failed_sign_ins() -> Limit:
    return Limit("sign_in", settings.FAILED_SIGN_INS_PER_10_MINUTES, timedelta(minutes=10))


def sign_ups() -> Limit:
    return Limit("sign_up", settings.SIGN_UPS_PER_HOUR, timedelta(hours=1))


def mails_asked_for() -> Limit:
    return Limit("ask_for_mail", settings.SIGN_UPS_PER_HOUR, timedelta(hours=1))


def mails_to_one_address() -> Limit:
    return Limit("mail_to_address", 10, timedelta(hours=1))


def count_use(*, member: Member, limit: Limit) -> Quota:
    """Count one use, in the action's own transaction, and return what is left. A rollback takes the use back.

    Raises RateLimitExceeded, with the seconds until the next use is free, when the limit is reached.
    """
    _hit_id, quota = _count(limit, str(member.pk), of_client=False)
    return quota


@transaction.atomic
def count_client_use(*, request: HttpRequest, limit: Limit) -> int:
    """Count one use by the client's IP address, /64 for IPv6, and return its id for `forgive_client_use`.

    Raises RateLimitExceeded as `count_use` does. The address itself is not kept, only a keyed hash of it.
    """
    hit_id, _quota = _count(limit, _keyed_hash(client_ip(request)), of_client=True)
    return hit_id


@transaction.atomic
def count_mailbox_use(address: str) -> None:
    """Count one mail that somebody asked for, to this address, whosever it is. Raises RateLimitExceeded as `count_use` does.

    The address itself is not kept, only a keyed hash of it.
    """
    _count(mails_to_one_address(), _keyed_hash(address.strip().lower()), of_client=True)


def _keyed_hash(text: str) -> str:
    return salted_hmac("carecollective.core.rate_limits", text, algorithm="sha256").hexdigest()[:32]


def forgive_client_use(hit_id: int) -> None:
    """Take a counted use back: the attempt was no failure."""
    execute("DELETE FROM core_clientratelimithit WHERE id = %s", [hit_id])


COUNT = "SELECT hit_id, free_in, uses FROM public.core_count_use(%(who)s, %(what)s, %(times)s, %(span)s, %(of_client)s)"
_COUNT = Prepared(COUNT)


def count_values(limit: Limit, key: str, *, of_client: bool = False) -> dict[str, Any]:
    """Return the values of COUNT."""
    return {"who": key, "what": limit.action, "times": limit.times, "span": limit.window, "of_client": of_client}


def quota_of(limit: Limit, row: Sequence[Any]) -> Quota:
    """Return what is left of a limit by a row of COUNT. Raises RateLimitExceeded if the use was not counted."""
    hit_id, seconds, uses = row
    if hit_id is not None:
        first_free = limit.window.total_seconds() if seconds is None else seconds
        return Quota(limit, limit.times - uses - 1, max(1, ceil(first_free)))
    wait = max(1, ceil(seconds or 1))
    words = _("That was a lot in a short time. Please try again in about %(minutes)d minutes.")
    message = words % {"minutes": ceil(wait / 60)} if wait > A_LITTLE_SECONDS else None
    refusal = RateLimitExceeded(message, retry_after=wait)
    refusal.headers |= Quota(limit, 0, wait).headers()
    raise refusal


def _count(limit: Limit, key: str, *, of_client: bool) -> tuple[int, Quota]:
    row: Any = fetch_one(_COUNT, count_values(limit, key, of_client=of_client))
    return row[0], quota_of(limit, row)


def prune_hits() -> int:
    """Delete uses that are older than every window; return how many."""
    old = "at < clock_timestamp() - interval '1 hour'"
    tables = ("core_ratelimithit", "core_clientratelimithit")
    return sum(execute(f"DELETE FROM {table} WHERE {old}") for table in tables)  # noqa: S608
