"""A member's own tokens, and signing out everywhere."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from knox.models import AuthToken

from carecollective.accounts.models import MemberSession, User
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import DomainNotFound

_ID_LENGTH = 16
_ID = re.compile(rf"[0-9a-f]{{{_ID_LENGTH}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without its secret. `id` is the beginning of its hash; `is_current` marks the token of this call."""

    id: str
    created_at: datetime
    expiry: datetime | None
    is_current: bool


def list_tokens(*, member: User, current: AuthToken | None = None) -> Sequence[TokenRecord]:
    """Return the member's valid tokens, newest first."""
    valid = AuthToken.objects.filter(Q(expiry=None) | Q(expiry__gt=ClockTimestamp()), user=member)
    return [
        TokenRecord(
            id=token.digest[:_ID_LENGTH],
            created_at=token.created,
            expiry=token.expiry,
            is_current=current is not None and token.digest == current.digest,
        )
        for token in valid.order_by("-created", "-pk")
    ]


def end_token(*, actor: User, token_id: str) -> None:
    """Delete one of the member's own tokens. Raises DomainNotFound, also for tokens of others."""
    # The query runs for a malformed id too, so that the answer takes the same time.
    wanted = token_id if _ID.fullmatch(token_id) else "-"
    ended, _by_model = AuthToken.objects.filter(user=actor, digest__startswith=wanted).delete()
    if not ended:
        raise DomainNotFound


def end_current(token: Any) -> None:
    """Delete the token that a call was made with."""
    AuthToken.objects.filter(pk=token.pk).delete()


@transaction.atomic
def sign_out_everywhere(*, actor: User) -> None:
    """End every session, token and password link of the member."""
    # Update the row first: a token being made at the same time waits for it, or is deleted too.
    User.objects.filter(pk=actor.pk).update(signed_out_at=ClockTimestamp())
    AuthToken.objects.filter(user=actor).delete()
    MemberSession.objects.filter(member_id=actor.pk).delete()
