"""Nobody is in V2 unwatched: without a guard for a minute, V2 is off by itself."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django import Settings

from rollout.alerts import lifecycle
from rollout.guard.runner import Guard
from rollout.stages import DISABLED, ENABLED, INTERNAL
from rollout.targeting import snapshot
from rollout.targeting.cohort import MemberFacts, Reason, decide, decision_for, v1_takes_writes, v1_writes_are_on
from rollout.targeting.guard_lease import read_lease
from rollout.targeting.state import RolloutState
from rollout.versions import MessagingVersion
from tests.roles import as_role
from tests.rollout.conftest import Sql
from tests.waiting import wait_for

Make = Callable[..., Any]
V1 = MessagingVersion.V1


def lease_renewed(sql: Sql, seconds_ago: float) -> None:
    sql("UPDATE rollout_guard_lease SET renewed_at = clock_timestamp() - make_interval(secs => %s)", seconds_ago)


@pytest.mark.parametrize(("seconds_ago", "version", "reason"), [
    (0, "v2", Reason.ENABLED),
    (59, "v2", Reason.ENABLED),
    (61, "v1", Reason.GUARD_ABSENT),
])  # fmt: skip
def test_v2_is_off_once_no_guard_has_renewed_its_lease_for_a_minute(
    stage: Make, member: Make, sql: Sql, seconds_ago: float, version: str, reason: Reason
) -> None:
    stage("enabled")
    lease_renewed(sql, seconds_ago)
    decision = decision_for(member())
    assert (decision.version, decision.reason) == (MessagingVersion(version), reason)


@pytest.fixture
def in_thread(settings: Settings, committed_db: None) -> Iterator[None]:
    """This process follows the rollout as a serving one does."""
    settings.ROLLOUT_SNAPSHOT = "thread"
    snapshot.stop()
    yield
    snapshot.stop()


def test_a_process_turns_to_v1_by_itself_once_the_lease_is_old(
    in_thread: None, stage: Make, member: Make, connect_as: Make
) -> None:
    helper, superuser = member(), connect_as("superuser", autocommit=True)
    stage("enabled")
    wait_for(lambda: decision_for(helper).version is MessagingVersion.V2, seconds=10)
    began = time.monotonic()
    superuser.execute("UPDATE rollout_guard_lease SET renewed_at = clock_timestamp() - interval '59 s'")
    wait_for(lambda: decision_for(helper).reason is Reason.GUARD_ABSENT, seconds=10)
    # By its age alone: a second was left of the minute when it was last written.
    assert time.monotonic() - began >= 1
    decision, state = decision_for(helper), snapshot.current()
    assert (decision.version, state.stage, state.fresh) == (V1, ENABLED, True)


def test_before_any_guard_ever_ran_v2_is_off(stage: Make, staff: Make, sql: Sql) -> None:
    stage("internal")
    sql("DELETE FROM rollout_guard_lease")
    assert decision_for(staff()).reason is Reason.GUARD_ABSENT
    assert read_lease() is None


def test_at_enabled_v1_takes_writes_while_nobody_guards(stage: Make, sql: Sql) -> None:
    stage("enabled")
    assert not v1_writes_are_on()
    lease_renewed(sql, 61)
    assert v1_writes_are_on()


def test_below_enabled_a_frozen_v1_stays_frozen_without_a_guard() -> None:
    state = RolloutState(stage=INTERNAL, v1_writes=False, salt="", version=1, fresh=True, guarded=False)
    assert not v1_takes_writes(state=state, override=None)


def test_disabled_is_the_reason_before_a_missing_guard(member: Make, db: None) -> None:
    state = RolloutState(stage=DISABLED, v1_writes=True, salt="", version=1, fresh=True, guarded=False)
    facts = MemberFacts(id=member().pk, is_staff=True, is_tester=True)
    assert decide(state=state, member=facts, override=None).reason is Reason.DISABLED


def test_the_row_is_not_touched_by_it(stage: Make, sql: Sql) -> None:
    stage("enabled")
    lease_renewed(sql, 61)
    state = snapshot.current()
    assert (state.stage, state.guarded, state.fresh) == (ENABLED, False, True)
    assert sql("SELECT stage FROM rollout_flag")[0] == "enabled"


@pytest.fixture
def alone(guard: Guard, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> Guard:
    """A guard that holds the lock, and renews its lease on the test's own connection."""
    guard.lock.connection = connection
    monkeypatch.setattr(guard.lock, "release", lambda: None)
    return guard


def tick(guard: Guard) -> bool:
    with as_role("guard"):
        return guard.tick()


def test_each_look_renews_the_lease(alone: Guard, sql: Sql, member: Make, stage: Make) -> None:
    stage("enabled")
    sql("DELETE FROM rollout_guard_lease")
    assert tick(alone)
    lease = read_lease()
    assert lease is not None
    assert (lease.holder, lease.watching) == (alone.holder, True)
    assert lease.age_seconds < 1
    assert decision_for(member()).version is MessagingVersion.V2


def test_a_look_that_fails_renews_nothing(alone: Guard, sql: Sql, stage: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    stage("enabled")
    lease_renewed(sql, 61)
    monkeypatch.setattr(alone, "look", lambda: 1 / 0)
    monkeypatch.setattr(connection, "close", lambda: None)
    tick(alone)
    lease = read_lease()
    assert lease is not None
    assert not lease.watching


def test_a_returning_guard_records_how_long_nobody_watched(alone: Guard, sql: Sql, at: Make) -> None:
    at("percentage:10")
    lease_renewed(sql, 360)
    tick(alone)
    tick(alone)
    (alert,) = lifecycle.recent_alerts()
    assert (alert.kind, alert.severity, alert.stage) == ("guard_absent", "warning", "percentage:10")
    assert alert.figures == {"seconds": 300}
    assert alert.resolved_at is not None
    assert alert.words.endswith("V2 was off by itself for as long.")


@pytest.mark.parametrize(("at_stage", "seconds_ago"), [("disabled", 3600), ("enabled", 30)])
def test_an_absence_that_took_nothing_from_anybody_is_not_recorded(
    alone: Guard, sql: Sql, at: Make, at_stage: str, seconds_ago: float
) -> None:
    at(at_stage)
    lease_renewed(sql, seconds_ago)
    tick(alone)
    assert lifecycle.recent_alerts() == ()


def test_nobody_but_the_guard_renews_the_lease(connect_as: Make) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect_as("web").execute("UPDATE rollout_guard_lease SET renewed_at = 'infinity'")
