"""The hand-written look-up of a token answers as the ORM query that it replaces."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product

from django.db.models import Q
from django.utils import timezone
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from carecollective.accounts.authentication import TokenAuthentication
from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from tests.roles import as_role

MakeMember = Callable[..., User]


def found_by_orm(token: str) -> AuthToken | None:
    alive = Q(expiry=None) | Q(expiry__gt=ClockTimestamp())
    wanted = AuthToken.objects.select_related("user")
    return wanted.filter(alive, digest=hash_token(token), user__is_active=True).first()


def found_by_hand(token: str) -> AuthToken | None:
    try:
        _member, found = TokenAuthentication().authenticate_credentials(token.encode())
    except AuthenticationFailed:
        return None
    return found


def test_the_statement_finds_what_the_orm_finds(db: None, member: MakeMember) -> None:
    tokens = ["unknown", "", "x" * 64]
    now: datetime = timezone.now()
    states = product((None, now + timedelta(days=1), now - timedelta(seconds=1)), (True, False), (True, False))
    for number, (expiry, is_active, is_staff) in enumerate(states):
        holder = member(
            name=f"Member {number}", is_staff=is_staff, verification_status=("approved", "pending")[number % 2]
        )
        stored, token = AuthToken.objects.create(user=holder)
        with as_role("owner"):
            AuthToken.objects.filter(pk=stored.pk).update(expiry=expiry)
            User.objects.filter(pk=holder.pk).update(is_active=is_active)
        tokens.append(token)
    answers = [(found_by_orm(token), found_by_hand(token)) for token in tokens]
    for wanted, found in answers:
        assert found == wanted
        if found is None or wanted is None:
            continue
        for mine, theirs in ((found, wanted), (found.user, wanted.user)):
            # Reading each column loads those that the statement leaves out.
            columns = [column.attname for column in mine._meta.concrete_fields]
            assert [getattr(mine, name) for name in columns] == [getattr(theirs, name) for name in columns]
    assert sum(found is not None for _wanted, found in answers) == 4
