"""Block a member, and end it."""

from uuid import UUID

from django.db import connection

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.core.errors import DomainNotFound
from carecollective.safety.errors import OneselfBlocked
from carecollective.safety.models import Block

# The lock that `safety_standing` shares: whoever is writing to the other finishes first, and nobody begins.
_LOCK_PAIR = """
SELECT pg_advisory_xact_lock(hashtextextended(
  'block:' || least(%(one)s::uuid, %(other)s::uuid)::text || greatest(%(one)s::uuid, %(other)s::uuid)::text, 0))
"""


def block_member(*, actor: User, member_id: UUID) -> None:
    """Keep a member and the actor apart: no offers and no messages, either way. Blocking twice is blocking once.

    The other is not told. Once this returns, nothing of theirs arrives. Raises OneselfBlocked.
    """
    if member_id == actor.pk:
        raise OneselfBlocked
    with acting_as(actor):
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_PAIR, {"one": actor.pk, "other": member_id})
        Block.objects.bulk_create([Block(blocker=actor, blocked_id=member_id)], ignore_conflicts=True)


def end_block(*, actor: User, block_id: UUID) -> None:
    """End one of the actor's blocks. Raises DomainNotFound."""
    with acting_as(actor):
        ended, _by_model = Block.objects.filter(pk=block_id, blocker=actor).delete()
    if not ended:
        raise DomainNotFound


def unblock_member(*, actor: User, member_id: UUID) -> None:
    """End the actor's own block of a member, if there is one."""
    with acting_as(actor):
        Block.objects.filter(blocker=actor, blocked=member_id).delete()
