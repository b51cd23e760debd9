from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest

TABLES = ("help_requests", "conversations", "messages", "conversations_v2", "messages_v2")


@pytest.fixture
def visitor() -> Client:
    return Client()


@pytest.fixture
def queries() -> Callable[[], AbstractContextManager[list[str]]]:
    """Collect the statements of a block, transaction control left out."""

    @contextmanager
    def collect() -> Iterator[list[str]]:
        found: list[str] = []
        with CaptureQueriesContext(connection) as captured:
            yield found
        # The test's own transaction turns each `atomic` into a savepoint and an acting member that is put back.
        control = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT", "SELECT set_config('app.user_id', '',")
        found += [query["sql"] for query in captured if not query["sql"].startswith(control)]

    return collect


@pytest.fixture
def nothing_written(beyond_policies: Any) -> Callable[[], AbstractContextManager[None]]:
    """Prove that a block leaves requests, conversations and messages as they were."""

    def footprint() -> list[Any]:
        found = []
        with beyond_policies() as cursor:
            for table in TABLES:
                cursor.execute(f"SELECT count(*), max(updated_at) FROM {table}")
                found.append(cursor.fetchone())
        return found

    @contextmanager
    def compare() -> Iterator[None]:
        before = footprint()
        yield
        assert footprint() == before

    return compare


@pytest.fixture
def legacy_conversation(beyond_policies: Any) -> Callable[..., UUID]:
    """Make what the legacy system left: a conversation with these messages, `(sender, text)`; with none, an orphan."""

    def make(
        help_request: HelpRequest | None, helper: User, other: User, *messages: tuple[User, str], status: str = "active"
    ) -> UUID:
        key = uuid4()
        with beyond_policies() as cursor:
            cursor.execute(
                "INSERT INTO conversations (id, help_request_id, created_by, status) VALUES (%s, %s, %s, %s)",
                [key, help_request and help_request.pk, helper.pk, status],
            )
            for member in (helper, other):
                cursor.execute(
                    "INSERT INTO conversation_participants (conversation_id, user_id) VALUES (%s, %s)",
                    [key, member.pk],
                )
            for sender, text in messages:
                recipient = other if sender == helper else helper
                cursor.execute(
                    "INSERT INTO messages (conversation_id, sender_id, recipient_id, content, created_at)"
                    " VALUES (%s, %s, %s, %s, clock_timestamp())",
                    [key, sender.pk, recipient.pk, text],
                )
        return key

    return make
