"""The people of the control room, for every test that steers the rollout."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission

from carecollective.accounts.models import User
from tests.factories import UserFactory

MakeStaff = Callable[..., User]


@pytest.fixture
def operators() -> MakeStaff:
    """Make a staff member with the four permissions, or with those that are named."""

    def make(*permissions: str, **fields: Any) -> User:
        user: User = UserFactory.create(**({"is_staff": True} | fields))
        if permissions:
            found = Permission.objects.filter(content_type__app_label="rollout", codename__in=permissions)
            user.user_permissions.set(found)
        else:
            # Both roles, of which a signature takes one at a time.
            user.groups.set(Group.objects.filter(name__in=["Rollout operators", "Engineering lead", "Product owner"]))
        return User.objects.get(pk=user.pk)

    return make


@pytest.fixture
def ben(operators: MakeStaff) -> User:
    return operators(name="Ben")


@pytest.fixture
def amina(operators: MakeStaff) -> User:
    return operators(name="Amina")
