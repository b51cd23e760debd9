"""The three operations tried in another's name: refused as things are, and noticed where they would not be."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from carecollective.core.database import acting_as
from carecollective.operations.verification.impersonation_checks import (
    REFUSED,
    Sample,
    try_legacy_order,
    try_operations,
)
from messaging_v1.services import start_legacy_conversation
from messaging_v2 import services
from messaging_v2.models import Conversation, Message

pytestmark = pytest.mark.django_db


@pytest.fixture
def sample(help_request: Any, member: Any) -> Sample:
    ask_for_help, helper = help_request(), member()
    with acting_as(helper):
        conversation = services.create_conversation_atomic(
            actor=helper, help_request_id=ask_for_help.pk, helper_id=helper.pk, initial_message="I can help you."
        )
    return Sample(conversation.pk, ask_for_help.pk, ask_for_help.user_id, helper.pk)


def found(sample: Sample | None) -> dict[str, str]:
    return {check.name: check.found for check in try_operations(sample) if not check.ok}


def count(beyond_policies: Any) -> tuple[int, int]:
    with beyond_policies():
        return Conversation.objects.count(), Message.objects.count()


def test_all_refuse_and_nothing_stays(sample: Sample, beyond_policies: Any) -> None:
    before = count(beyond_policies)
    assert found(sample) == {}
    assert count(beyond_policies) == before
    assert not connection.needs_rollback


def test_an_empty_database_refuses_as_well() -> None:
    assert found(None) == {}


@pytest.mark.parametrize("operation", ["create_conversation_atomic", "send_message_v2", "get_conversation_v2"])
def test_an_operation_that_believes_who_is_named_is_noticed(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr(services, operation, lambda **given: None)
    assert found(sample)[f"{operation} for another"] == "lets it happen"


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("ALTER TABLE conversations_v2 DISABLE ROW LEVEL SECURITY", {"the database, rows shown to a stranger"}),
        ("CREATE POLICY anyone ON messages_v2 FOR INSERT WITH CHECK (true)", {"the database, to send for another"}),
        (
            "CREATE POLICY anyone ON conversations_v2 FOR INSERT WITH CHECK (true)",
            {"the database, to open for another"},
        ),
        (
            "CREATE POLICY anyone ON conversations_v2 FOR ALL USING (true)",
            {"the database, rows shown to a stranger", "the database, rows closed by a stranger"},
        ),
        ("ALTER ROLE carecollective_web BYPASSRLS", {"the database, rows shown to a stranger"}),
    ],
)
def test_a_hole_in_the_policies_is_noticed(
    sample: Sample, beyond_policies: Callable[[], Any], statement: str, names: set[str]
) -> None:
    with beyond_policies() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)
    unrefused = found(sample)
    assert names <= unrefused.keys()
    assert REFUSED not in unrefused.values()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TRIGGER bump_conversation ON messages RENAME TO touch", None),
        ("DROP TRIGGER bump_conversation ON messages", "stays where it was"),
        ("REVOKE INSERT ON messages FROM carecollective_web", "answers InsufficientPrivilege"),
    ],
)
def test_a_new_message_brings_its_legacy_conversation_to_the_top(
    help_request: Any, member: Any, beyond_policies: Any, change: str, said: str | None
) -> None:
    helper = member()
    conversation = start_legacy_conversation(
        actor=helper, help_request_id=help_request().pk, initial_message="I can help you."
    )
    with beyond_policies() as cursor:
        cursor.execute(change)
    (check,) = try_legacy_order(conversation.pk, helper.pk)
    assert check.found == (said or "comes to the top")
    assert check.ok is (said is None)
