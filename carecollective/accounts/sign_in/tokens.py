"""A member's own tokens, and signing out: here, or everywhere at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import DomainNotFound

_ID_LENGTH = 16
_ID = re.compile(rf"[0-9a-f]{{{_ID_LENGTH}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without its secret; `id` names it, and comes from its hash. `is_current` tells that this call was made with it."""

    id: str
    created_at: datetime
    expiry: datetime | None
    is_current: bool


def list_tokens(*, member: User, current: AuthToken | None = None) -> Sequence[TokenRecord]:
    """Return the member's tokens that still work, newest first."""
    alive = AuthToken.objects.filter(Q(expiry=None) | Q(expiry__gt=ClockTimestamp()), user=member)
    return [
        TokenRecord(
            id=token.digest[:_ID_LENGTH],
            created_at=token.created,
            expiry=token.expiry,
            is_current=current is not None and token.digest == current.digest,
        )
        for token in alive.order_by("-created", "-pk")
    ]


def end_token(*, actor: User, token_id: str) -> None:
    """End one of the member's own tokens. Raises DomainNotFound, the same for what does not exist and what is others'."""
    # Asked in any case: what cannot be an id is answered like one of nobody's.
    wanted = token_id if _ID.fullmatch(token_id) else "-"
    ended, _by_model = AuthToken.objects.filter(user=actor, digest__startswith=wanted).delete()
    if not ended:
        raise DomainNotFound


def end_current(token: Any) -> None:
    """End the token that a call was made with."""
    AuthToken.objects.filter(pk=token.pk).delete()


@transaction.atomic
def sign_out_everywhere(*, actor: User) -> None:
    """End every session and token of the member, and links to choose a password that are on their way."""
    # The row first: a token that is being made waits for it, or is among those that are deleted.
    User.objects.filter(pk=actor.pk).update(signed_out_at=ClockTimestamp())
    AuthToken.objects.filter(user=actor).delete()
