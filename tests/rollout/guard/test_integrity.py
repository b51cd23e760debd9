"""A conversation that cannot be: V2 goes off at once, and the guard never reads what it counts."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from rollout.alerts import lifecycle
from rollout.guard.integrity import Inspector, count_broken
from rollout.models.alerts import Alert
from tests.rollout.conftest import Sql

CONVERSATION = """
INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, clock_timestamp() - interval '1 day', clock_timestamp() - interval '1 day')
"""
MESSAGE = """
INSERT INTO messages_v2 (id, conversation_id, sender_id, content, created_at, updated_at)
VALUES (%s, %s, %s, %s, clock_timestamp() - make_interval(hours => %s), clock_timestamp())
"""
# What the constraints refuse has to be let in first: a broken row is one that came past them.
WITHOUT_CONSTRAINTS = """
ALTER TABLE conversations_v2 DROP CONSTRAINT conversations_v2_two_people,
  DROP CONSTRAINT conversations_v2_one_per_pair, DROP CONSTRAINT conversations_v2_initial_message_length;
ALTER TABLE messages_v2 DROP CONSTRAINT messages_v2_content_length
"""

Put = Callable[..., UUID]


class World:
    def __init__(self, sql: Sql, request: Any, helper: UUID, other: UUID) -> None:
        self.sql, self.request_id, self.owner = sql, request.pk, request.user_id
        self.helper, self.other = helper, other

    def conversation(
        self, *, helper: UUID | None = None, requester: UUID | None = None, text: str = "I can help you."
    ) -> UUID:
        key = uuid4()
        self.sql(CONVERSATION, key, self.request_id, requester or self.owner, helper or self.helper, text)
        return key

    def message(self, conversation: UUID, *, sender: UUID, text: str = "Thank you.", hours_ago: int = 1) -> None:
        self.sql(MESSAGE, uuid4(), conversation, sender, text, hours_ago)


@pytest.fixture
def world(sql: Sql, member: Callable[..., Any], help_request: Callable[..., Any]) -> World:
    sql(WITHOUT_CONSTRAINTS)
    return World(sql, help_request(), member().pk, member().pk)


def break_nothing(world: World) -> None:
    world.message(world.conversation(), sender=world.owner)


def break_helper(world: World) -> None:
    world.conversation(helper=world.owner)


def break_owner(world: World) -> None:
    world.conversation(requester=world.other)


def break_pair(world: World) -> None:
    world.conversation()
    world.conversation()


def break_first_message(world: World) -> None:
    world.conversation(text=" \n")


def break_message(world: World) -> None:
    world.message(world.conversation(), sender=world.helper, text="  ")


def break_sender(world: World) -> None:
    world.message(world.conversation(), sender=world.other)


def break_order(world: World) -> None:
    world.message(world.conversation(), sender=world.helper, hours_ago=25)


BREAKS: list[tuple[Callable[[World], None], dict[str, int]]] = [
    (break_nothing, {}),
    (break_helper, {"helper_is_requester": 1}),
    (break_owner, {"requester_is_not_owner": 1}),
    (break_pair, {"pair_has_two": 2}),
    (break_first_message, {"first_message_is_empty": 1}),
    (break_message, {"message_is_empty": 1}),
    (break_sender, {"sender_takes_no_part": 1}),
    (break_order, {"message_before_its_conversation": 1}),
]


@pytest.mark.parametrize(("broken", "counted"), BREAKS, ids=[broken.__name__ for broken, _ in BREAKS])
def test_each_invariant_is_counted(
    world: World, as_guard: None, broken: Callable[[World], None], counted: dict[str, int]
) -> None:
    broken(world)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE carecollective_guard")
    assert count_broken() == counted


def test_v2_goes_off_at_the_first_broken_conversation(
    world: World, at: Callable[..., None], look: Callable[[], None], stage_now: Callable[[], str]
) -> None:
    at("enabled")
    look()
    assert stage_now() == "enabled"
    break_sender(world)
    look()
    assert stage_now() == "disabled"
    rollback, alert = lifecycle.open_alerts()
    assert (rollback.kind, rollback.disabled_v2, alert.kind, alert.disabled_v2) == (
        "guard_rollback", True, "integrity", True,
    )  # fmt: skip
    assert alert.words == "V2 holds data that cannot be: a message is from somebody who takes no part (1)."
    assert alert.words in rollback.words


def test_who_goes_on_in_spite_of_it_is_stopped_only_by_more_of_it(
    world: World, at: Callable[..., None], look: Callable[[], None], stage_now: Callable[[], str], stage: Any
) -> None:
    at("internal")
    break_sender(world)
    look()
    assert stage_now() == "disabled"
    stage("internal")
    look()
    assert stage_now() == "internal"
    break_message(world)
    look()
    assert stage_now() == "disabled"
    assert Alert.objects.filter(kind="integrity").count() == 1
    assert Alert.objects.filter(kind="guard_rollback").count() == 2


def test_the_alert_ends_when_the_rows_are_repaired(world: World, at: Callable[..., None], look: Any) -> None:
    at("internal")
    break_sender(world)
    look()
    world.sql("DELETE FROM messages_v2")
    world.sql("UPDATE rollout_alert SET last_seen_at = last_seen_at - interval '61 s'")
    look()
    assert [alert.kind for alert in lifecycle.open_alerts()] == ["guard_rollback"]


def test_changes_are_counted_every_time_and_all_when_that_is_cheap(
    world: World, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE carecollective_guard")
    inspector = Inspector()
    with django_assert_num_queries(1):
        inspector.look()
    inspector.everything_due = float("inf")
    with django_assert_num_queries(1):
        assert inspector.look() == {}
    key = world.conversation(helper=world.owner)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE carecollective_guard")
    assert inspector.look() == {}
    world.sql("UPDATE conversations_v2 SET updated_at = clock_timestamp() WHERE id = %s", key)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE carecollective_guard")
    assert inspector.look() == {"helper_is_requester": 1}


@pytest.mark.parametrize("role", ["web", "guard"])
def test_the_owners_policy_opens_the_tables_to_nobody_else(world: World, role: str) -> None:
    break_nothing(world)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE carecollective_{role}")
        cursor.execute("SELECT set_config('rollout.counting', 'on', true)")
        if role == "guard":
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                cursor.execute("SELECT FROM conversations_v2")
        else:
            cursor.execute("SELECT count(*) FROM conversations_v2")
            assert cursor.fetchone() == (0,)


def test_the_web_may_not_count(connect_as: Callable[..., "psycopg.Connection[Any]"]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect_as("web").execute("SELECT * FROM rollout_broken_conversations('-infinity')")
