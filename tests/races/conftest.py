from collections.abc import Callable, Iterator
from typing import Any

import pytest

from carecollective.accounts.models import User
from tests.races.crowd import Crowd


@pytest.fixture
def crowd(committed_db: None) -> Iterator[Callable[..., list[Any]]]:
    """Make calls all at once: `crowd(call, call, …)` returns what each gave or raised, in their order."""
    with Crowd() as gathered:
        yield gathered.at_once


@pytest.fixture
def owner(committed_db: None, member: Callable[..., User]) -> User:
    return member(name="Olga")


@pytest.fixture
def helper(committed_db: None, member: Callable[..., User]) -> User:
    return member(name="Henry")


@pytest.fixture
def ask(owner: User, help_request: Callable[..., Any]) -> Callable[[], Any]:
    """Post one more request of the owner's."""
    return lambda: help_request(user=owner)


@pytest.fixture
def rows_of(committed_db: None, connect_as: Callable[..., Any]) -> Callable[..., list[tuple[Any, ...]]]:
    """Read what was committed, past the policies."""
    superuser = connect_as("superuser", autocommit=True)
    return lambda statement, *parameters: superuser.execute(statement, parameters).fetchall()
