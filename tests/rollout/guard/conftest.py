from collections.abc import Callable, Iterator

import pytest

from rollout.guard.runner import Guard
from rollout.targeting.state import FLAG_NAME
from tests.roles import as_role
from tests.rollout.conftest import Sql


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
