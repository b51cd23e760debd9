from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from carecollective.accounts.models import User
from rollout.models import Flag
from rollout.targeting.cohort import INTERNAL_TESTERS, bucket
from rollout.targeting.state import FLAG_NAME

MakeUser = Callable[..., User]
Move = Callable[..., None]


@pytest.fixture
def make_user(db: None) -> MakeUser:
    numbers = count(1)

    def make(*, groups: tuple[str, ...] = (), **fields: Any) -> User:
        number = next(numbers)
        user = User.objects.create_user(
            f"rollout{number}@example.org", name=f"Member {number}", **{"verification_status": "approved"} | fields
        )
        user.refresh_from_db()
        user.groups.set(Group.objects.filter(name__in=groups))
        return user

    return make


@pytest.fixture
def operator(make_user: MakeUser) -> User:
    return make_user(is_staff=True, groups=("Rollout operators",))


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(is_staff=True, is_superuser=True)


@pytest.fixture
def tester(make_user: MakeUser) -> User:
    return make_user(groups=(INTERNAL_TESTERS,))


@pytest.fixture
def move(db: None) -> Move:
    """Set the stage by plain SQL, past the application and its rules."""

    def to(stage: str, *, v1_writes: bool = True) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE rollout_flag SET stage = %s, v1_writes = %s WHERE name = %s", [stage, v1_writes, FLAG_NAME]
            )

    return to


@pytest.fixture
def flag(db: None) -> Flag:
    return Flag.objects.get(name=FLAG_NAME)


@pytest.fixture
def bucket_of(flag: Flag) -> Callable[[User], int]:
    return lambda user: bucket(member_id=user.pk, salt=flag.salt)


@pytest.fixture
def list_on_flag(beyond_policies: Callable[[], AbstractContextManager[Any]]) -> Callable[[Flag, User, Group], None]:
    """List a member and a group on the flag as waffle's commands would; the web may not even do that."""

    def add(flag: Flag, user: User, group: Group) -> None:
        with beyond_policies():
            flag.users.add(user)
            flag.groups.add(group)

    return add
