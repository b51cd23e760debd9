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

# What a start or send does beside its own rows: count a use of the member's, and note that the other should hear of it. It goes
# into the statement that writes, where `{only}` lets it run for a row that was written.
COUNT_AND_NOTE = f"""
counted AS (SELECT use.* FROM {{only}} ({COUNT}) use), noted AS (
  INSERT INTO inbox_notification (id, recipient_id, conversation_id, version, kind)
  SELECT %(note)s, %(recipient)s, %(conversation)s, %(version)s, %(kind)s FROM counted WHERE hit_id IS NOT NULL
)"""  # noqa: S608 -- our own text
COUNTED = "counted.hit_id, counted.free_in, counted.uses"


@dataclass(frozen=True, slots=True)
class News:
    """What a start or send is to the others: which limit of its member it uses, and what the recipient hears of."""

    limit: Limit
    kind: str

    def values(self, *, member: Member, recipient_id: UUID, conversation_id: UUID, version: str) -> dict[str, Any]:
        """Return the values of COUNT_AND_NOTE."""
        note = {"note": uuid4(), "recipient": recipient_id, "conversation": conversation_id, "version": version}
        return count_values(self.limit, str(member.pk)) | note | {"kind": self.kind}
