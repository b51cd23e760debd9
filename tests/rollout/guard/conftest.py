from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from rollout.guard.runner import Guard
from rollout.targeting.state import FLAG_NAME
from tests.roles import as_role

Happened = Callable[..., None]
Sql = Callable[..., Any]
BeyondPolicies = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def sql(db: None, beyond_policies: BeyondPolicies) -> Sql:
    """Run a statement as the superuser, and return the first row it answers."""

    def run(statement: str, *values: Any) -> Any:
        with beyond_policies() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone() if cursor.description else None

    return run


@pytest.fixture
def happened(sql: Sql) -> Happened:
    """Record operations as the application would have: `happened(5, level="error")`. By default they succeeded just now.

    They are by so many `members` in turn; by nobody who is known where that is 0.
    """

    def record(
        count: int = 1,
        *,
        method: str = "startHelpConversation",
        version: str | None = "v2",
        level: str = "info",
        code: str | None = None,
        ms: float = 40.0,
        seconds_ago: float = 0.0,
        apart: float = 0.0,
        connection_error: bool = False,
        members: int = 0,
    ) -> None:
        code = code or {"info": None, "warn": "validation_error", "error": "database_error"}[level]
        sql(
            """
            INSERT INTO application_logs (key, timestamp, service, method, event, log_level, error_code, version, stage,
              duration_ms, request_id, connection_error, user_id)
            SELECT gen_random_uuid(), clock_timestamp() - make_interval(secs => %s + %s * n), 'MessagingService', %s,
              CASE %s WHEN 'info' THEN 'success' ELSE 'error' END, %s, %s, %s, 'percentage:10', %s, 'test', %s,
              CASE WHEN %s > 0 THEN md5((n %% greatest(%s, 1))::text)::uuid END
            FROM generate_series(1, %s) AS n
            """,
            seconds_ago, apart, method, level, level, code, version, ms, connection_error, members, members, count,
        )  # fmt: skip

    return record


@pytest.fixture
def at(stage: Callable[..., None], sql: Sql) -> Callable[..., None]:
    """Put the rollout at a stage that began an hour ago, and about which everybody was told then."""

    def put(name: str, *, began_seconds_ago: float = 3600) -> None:
        stage(name)
        sql("ALTER TABLE rollout_change DISABLE TRIGGER USER")
        sql("UPDATE rollout_change SET at = clock_timestamp() - make_interval(secs => %s)", began_seconds_ago)
        sql("ALTER TABLE rollout_change ENABLE TRIGGER USER")
        sql("UPDATE rollout_change_alerts_start SET after_change_id = (SELECT max(id) FROM rollout_change)")

    return put


@pytest.fixture
def as_guard(db: None) -> Iterator[None]:
    """Act as the guard's own role, which may do no more than it needs."""
    with as_role("guard"):
        yield


@pytest.fixture
def as_role_for_test(db: None) -> Iterator[Callable[[str], None]]:
    """Act as a role until the test ends."""
    with ExitStack() as stack:
        yield lambda role: stack.enter_context(as_role(role))


@pytest.fixture
def guard(db: None) -> Iterator[Guard]:
    guarding = Guard()
    yield guarding
    guarding.lock.release()


@pytest.fixture
def look(guard: Guard) -> Callable[[], None]:
    """Let the guard look once, in its own role, as if five seconds had passed since it last did."""

    def once() -> None:
        guard.inspector.everything_due = float("-inf")
        with as_role("guard"):
            guard.look()

    return once


@pytest.fixture
def stage_now(sql: Sql) -> Callable[[], str]:
    return lambda: str(sql("SELECT stage FROM rollout_flag WHERE name = %s", FLAG_NAME)[0])
