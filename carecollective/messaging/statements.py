"""The hot statements that both versions share, by hand."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from carecollective.core.database import Member
from carecollective.core.rate_limits import COUNT, Limit, count_values
from carecollective.help_requests.statements import LOCK
from carecollective.postgres.backend.prepared import Prepared
from carecollective.safety.statements import STANDING_COLUMNS

# Instead of `lock_help_request` and `read_standing`: one round trip less for each start. The lock is held before the function
# is called, which sees what was committed until then.
LOCK_REQUEST = Prepared(f"""
SELECT request.*, {STANDING_COLUMNS}
FROM ({LOCK}) request CROSS JOIN LATERAL public.safety_standing(request.user_id) standing
""")  # noqa: S608 -- our own text

# What a start or send does beside its own rows, in the statement that writes: it counts a use of the member's first, and notes at
# the end that the other should hear of it. `{of}` is what was written. Where the limit is reached, nothing is. LIMIT tells
# PostgreSQL that one row comes: it expects a thousand of a function, and would read all of a member's conversations.
COUNT_FIRST = f"WITH counted AS MATERIALIZED ({COUNT} LIMIT 1)"
IF_COUNTED = "counted WHERE counted.hit_id IS NOT NULL"
NOTE = """
INSERT INTO inbox_notification (id, recipient_id, conversation_id, version, kind)
SELECT %(note)s, %(recipient)s, %(conversation)s, %(version)s, %(kind)s FROM {of}"""
COUNTED = "counted.hit_id, counted.free_in, counted.uses"


@dataclass(frozen=True, slots=True)
class News:
    """What a start or send is to the others: which limit of its member it uses, and what the recipient hears of."""

    limit: Limit
    kind: str

    def values(self, *, member: Member, recipient_id: UUID, conversation_id: UUID, version: str) -> dict[str, Any]:
        """Return the values of COUNT_FIRST and NOTE."""
        note = {"note": uuid4(), "recipient": recipient_id, "conversation": conversation_id, "version": version}
        return count_values(self.limit, str(member.pk)) | note | {"kind": self.kind}
