from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from rollout.targeting import snapshot
from tests.api.documented import DocumentedClient
from tests.messaging.refusals import contents

# A test signs in within the block that it watches.
TOKENS = "knox_authtoken"

Make = Callable[..., Any]
MakeMember = Callable[..., User]
Caller = Callable[[User], DocumentedClient]
Block = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def anyone() -> DocumentedClient:
    return DocumentedClient()


@pytest.fixture
def caller(db: None) -> Caller:
    """Make clients that sign in by token, as programs do."""

    def sign_in(member: User) -> DocumentedClient:
        client = DocumentedClient()
        _stored, token = AuthToken.objects.create(user=member)
        client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        return client

    return sign_in


@pytest.fixture
def owner(db: None, member: MakeMember) -> User:
    return member(name="Olga")


@pytest.fixture
def helper(db: None, member: MakeMember) -> User:
    return member(name="Henry")


@pytest.fixture
def outsider(db: None, member: MakeMember) -> User:
    return member(name="Oscar")


@pytest.fixture
def groceries(owner: User, help_request: Callable[..., HelpRequest]) -> HelpRequest:
    """An open request of the owner's."""
    return help_request(user=owner, title="Groceries", description="Milk and bread")


@pytest.fixture(autouse=True)
def everybody_in_v2(db: None, stage: Make) -> None:
    stage("enabled")


@pytest.fixture
def nothing_written(db: None) -> Block:
    """Hold every row of every table, past the policies, against what it was before."""

    def footprint() -> dict[str, str]:
        return {table: found for table, found in contents().items() if table != TOKENS}

    @contextmanager
    def compare() -> Iterator[None]:
        before = footprint()
        yield
        assert footprint() == before

    return compare


@pytest.fixture
def statements() -> Block:
    """Collect the SQL of a block, without what a transaction around the test makes into statements.

    As in a process that serves, the rollout's state is at hand.
    """

    @contextmanager
    def collect() -> Iterator[list[str]]:
        found: list[str] = []
        state = snapshot.current()
        with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as captured:
            patch.setattr(snapshot, "current", lambda: state)
            yield found
        only_here = ("SAVEPOINT", "RELEASE SAVEPOINT", "SELECT set_config('app.user_id', '',")
        found += [query["sql"] for query in captured if not query["sql"].startswith(only_here)]

    return collect
