"""What the site asks the database for the five operations, for the floor and for pgbench.

Some are imported. Others stand beside models, where a program without Django's applications cannot import them: a test holds
these copies equal to the site's own.
"""

from collections.abc import Mapping
from typing import NamedTuple

from carecollective.inbox.queries import LISTS, LOCATED_THREAD, LOCATION_COLUMNS, PAIR, POLL_V2
from carecollective.messaging.statements import LOCK_REQUEST
from carecollective.postgres.advisory_locks import V2_STARTS
from messaging_v2.statements import LOCK_AND_STANDING, OPEN_AND_NOTE, SEND_AND_NOTE

__all__ = ["LISTS", "LOCATED_THREAD", "LOCATION_COLUMNS", "LOCK_AND_STANDING", "LOCK_REQUEST", "OPEN_AND_NOTE"]
__all__ += ["PAIR", "POLL_V2", "SEND_AND_NOTE"]

FIND_TOKEN = """
SELECT token.digest::text, token.user_id, token.created, token.expiry,
       member.is_superuser, member.id, member.name::text, member.is_admin, member.is_active, member.verification_status::text
FROM knox_authtoken token JOIN profiles member ON member.id = token.user_id
WHERE token.digest = %s AND (token.expiry IS NULL OR token.expiry > clock_timestamp()) AND member.is_active
"""
ACT = "SELECT set_config('app.user_id', %s, true)"
ENTER = f"SELECT pg_advisory_xact_lock_shared({V2_STARTS})"
# The site asks for more: whether a guard watches, and whether the new messaging is installed.
STAGE = "SELECT stage, v1_writes, version, salt FROM rollout_flag WHERE name = 'messaging_v2'"


def filled(statement: str, values: Mapping[str, str] | tuple[str, ...]) -> str:
    """Return the statement with SQL expressions in the place of its values."""
    return statement % values


class Use(NamedTuple):
    """What is counted, over which time, and what the other hears of."""

    action: str
    span: str
    kind: str


OFFER = Use("start_conversation", "1 hour", "new_conversation")
MESSAGE = Use("send_message", "1 minute", "new_message")
