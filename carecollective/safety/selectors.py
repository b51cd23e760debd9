"""How two members stand: may one write to the other?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_one
from carecollective.safety.errors import DailyLimitReached, Restricted
from carecollective.safety.models import Block
from carecollective.safety.statements import STANDING

OFFERS_PAUSED = _(
    "Your offers of help are paused until %(day)s. Your account page says why; you can still read everything."
)
WRITING_PAUSED = _("Your messages are paused until %(day)s. Your account page says why; you can still read everything.")


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands between the acting member and another, and what staff restrict for the acting member."""

    blocked_by_me: bool
    blocked_by_other: bool
    other_is_member: bool
    no_offers_until: datetime | None
    no_messages_until: datetime | None
    daily_limit: int | None
    written_today: int

    @property
    def is_apart(self) -> bool:
        """Whether neither can reach the other: a block either way, or the other is no member any more."""
        return self.blocked_by_me or self.blocked_by_other or not self.other_is_member

    def require_may_write(self, *, offers: bool = False) -> None:
        """Raise Restricted or DailyLimitReached for what staff restrict."""
        if self.no_messages_until:
            raise Restricted(WRITING_PAUSED, self.no_messages_until)
        if offers and self.no_offers_until:
            raise Restricted(OFFERS_PAUSED, self.no_offers_until)
        if self.daily_limit is not None and self.written_today >= self.daily_limit:
            raise DailyLimitReached(self.daily_limit)


@dataclass(frozen=True, slots=True)
class BlockedMember:
    block_id: UUID
    id: UUID
    name: str
    since: datetime


def read_standing(other_id: UUID) -> Standing:
    """Return how the acting member and another stand. A block that is being made is waited for. The caller holds `acting_as`."""
    row = fetch_one(STANDING, [other_id])
    if row is None:
        raise LookupError("nobody acts")
    return Standing(*row)


def list_blocked(*, member: User) -> Sequence[BlockedMember]:
    """Return whom the member has blocked, the latest first."""
    with acting_as(member):
        found = Block.objects.select_related("blocked").order_by("-created_at", "blocked_id")
        return [BlockedMember(block.pk, block.blocked_id, block.blocked.name, block.created_at) for block in found]
