from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from messaging_v2.models import Conversation
from messaging_v2.services import create_conversation_atomic

AUTUMN = datetime(2025, 9, 20, 12, tzinfo=UTC)


@pytest.fixture
def owner(db: None, member: Callable[..., User]) -> User:
    return member(name="Olga")


@pytest.fixture
def helper(db: None, member: Callable[..., User]) -> User:
    return member(name="Henry")


@pytest.fixture
def outsider(db: None, member: Callable[..., User]) -> User:
    return member(name="Oscar")


@pytest.fixture
def groceries(owner: User, help_request: Callable[..., HelpRequest]) -> HelpRequest:
    return help_request(user=owner, title="Groceries")


@pytest.fixture
def conversation(helper: User, groceries: HelpRequest) -> Conversation:
    """A conversation of the new messaging: Henry's offer on Olga's request."""
    return create_conversation_atomic(
        actor=helper,
        help_request_id=groceries.pk,
        helper_id=helper.pk,
        initial_message="Hello, I can bring them on Monday.",
    )


@pytest.fixture
def legacy_conversation(beyond_policies: Any) -> Callable[..., UUID]:
    """Write a conversation as the legacy system left it: `legacy_conversation(helper, owner, request, ["Hello"])`.

    A message is its text, by the helper and the owner in turn, or a mapping of columns; one a minute.
    """

    def make(
        helper: User,
        owner: User,
        request: HelpRequest | None,
        messages: Sequence[str | dict[str, Any]] = ("Hello from the old days.",),
        *,
        status: str = "active",
        left: Sequence[User] = (),
        start: datetime = AUTUMN,
    ) -> UUID:
        key = uuid4()
        request_id = request.pk if request else None
        with beyond_policies() as cursor:
            cursor.execute(
                """
                INSERT INTO conversations (id, help_request_id, created_by, status, created_at, updated_at, last_message_at)
                VALUES (%(key)s, %(request)s, %(helper)s, %(status)s, %(at)s, %(at)s, %(at)s)
                """,
                {"key": key, "request": request_id, "helper": helper.pk, "status": status, "at": start},
            )
            for person in (helper, owner):
                cursor.execute(
                    "INSERT INTO conversation_participants (conversation_id, user_id, joined_at, left_at) VALUES (%s, %s, %s, %s)",
                    [key, person.pk, start, start + timedelta(days=9) if person in left else None],
                )
            for number, message in enumerate(messages):
                given: dict[str, Any] = {"content": message} if isinstance(message, str) else dict(message)
                sender = given.pop("sender", (helper, owner)[number % 2])
                row = {
                    "id": uuid4(),
                    "conversation_id": key,
                    "sender_id": sender.pk,
                    "recipient_id": (owner if sender == helper else helper).pk,
                    "help_request_id": request_id,
                    "created_at": start + timedelta(minutes=number + 1),
                } | given
                cursor.execute(
                    f"INSERT INTO messages ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
                    list(row.values()),
                )
        return key

    return make


@pytest.fixture
def rows_of(beyond_policies: Any) -> Callable[..., list[tuple[Any, ...]]]:
    """Read rows past the policies: `rows_of("SELECT … WHERE id = %s", key)`."""

    def read(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with beyond_policies() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    return read
