"""What the guard does with what it sees, in its own database role."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from rollout.alerts import lifecycle
from rollout.guard import change_alerts
from rollout.guard import runner as guard_module
from rollout.guard.runner import Guard
from rollout.models import Change
from rollout.models.alerts import Alert
from rollout.stages import DISABLED
from tests.rollout.conftest import Happened, Sql

Look = Callable[[], None]
At = Callable[..., None]
StageNow = Callable[[], str]


@pytest.fixture
def failing(at: At, happened: Happened) -> None:
    at("percentage:50")
    happened(2)
    happened(8, level="error")


def test_v2_goes_off_when_conversations_cannot_be_started(failing: None, look: Look, stage_now: StageNow) -> None:
    look()
    assert stage_now() == "disabled"


def test_the_record_says_who_turned_it_off_and_for_which_figures(failing: None, look: Look) -> None:
    look()
    change = Change.objects.first()
    assert change is not None
    assert (change.source, change.actor_label, change.to_v1_writes) == ("guard", "The guard", True)
    assert change.reason == (
        "8 of 10 new conversations failed in V2 within 5 minutes (normally 1 in 200): 20% succeeded, under 80%. "
        "Turned off by the guard."
    )


def test_one_alert_tells_of_it_and_says_that_v2_was_turned_off(failing: None, look: Look) -> None:
    look()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.severity, alert.stage) == ("guard_rollback", "critical", "percentage:50")
    assert alert.disabled_v2
    assert "8 of 10 new conversations failed in V2" in alert.words
    assert alert.error_codes == ("database_error",)


def test_an_open_alert_is_not_opened_again(at: At, happened: Happened, look: Look) -> None:
    at("percentage:50")
    happened(1, ms=5200.4)
    look()
    look()
    assert [(alert.kind, alert.resolved_at) for alert in Alert.objects.all()] == [("slow_call", None)]


def test_an_alert_ends_once_nothing_was_seen_for_its_time(failing: None, look: Look, sql: Sql) -> None:
    look()
    look()
    assert [alert.kind for alert in lifecycle.open_alerts()] == ["guard_rollback"]
    sql("UPDATE application_logs SET timestamp = timestamp - interval '6 min'")
    sql("UPDATE rollout_alert SET last_seen_at = last_seen_at - interval '299 s'")
    look()
    assert len(lifecycle.open_alerts()) == 1
    sql("UPDATE rollout_alert SET last_seen_at = last_seen_at - interval '2 s'")
    look()
    assert lifecycle.open_alerts() == ()
    (over,) = lifecycle.recent_alerts()
    assert over.resolved_at is not None
    look()
    assert len(lifecycle.recent_alerts()) == 1


def test_failures_of_the_stage_before_turn_nothing_off(
    at: At, happened: Happened, look: Look, stage_now: StageNow
) -> None:
    happened(20, level="error", seconds_ago=30)
    at("internal", began_seconds_ago=20)
    look()
    assert stage_now() == "internal"
    happened(8, level="error")
    look()
    assert stage_now() == "disabled"


def test_members_own_refusals_turn_nothing_off(at: At, happened: Happened, look: Look, stage_now: StageNow) -> None:
    at("percentage:50")
    happened(30, level="warn", code="rate_limit_exceeded")
    happened(1)
    look()
    assert stage_now() == "percentage:50"
    assert lifecycle.open_alerts() == ()


def test_failures_of_v1_alert_people_and_leave_v2_on(
    at: At, happened: Happened, look: Look, stage_now: StageNow
) -> None:
    at("percentage:50")
    happened(10, version="v1")
    happened(10, version="v1", level="error")
    look()
    assert stage_now() == "percentage:50"
    assert [alert.kind for alert in lifecycle.open_alerts()] == ["v1_creation_failing"]


@pytest.mark.parametrize("at_stage", ["disabled", "percentage:50", "enabled"])
@pytest.mark.parametrize(("succeeded", "failed", "kinds"), [
    (0, 2, []), (0, 3, ["v1_creation_failing"]), (97, 3, []), (17, 3, ["v1_creation_low"]),
])  # fmt: skip
def test_v1_alerts_from_three_failures_at_every_stage(
    at: At, happened: Happened, look: Look, at_stage: str, succeeded: int, failed: int, kinds: list[str]
) -> None:
    at(at_stage)
    happened(failed, version="v1", level="error", seconds_ago=20)
    if succeeded:
        happened(succeeded, version="v1")
    look()
    assert [alert.kind for alert in lifecycle.open_alerts()] == kinds


def test_three_failed_v1_starts_in_a_row_alert_until_one_succeeds(
    at: At, happened: Happened, look: Look, sql: Sql
) -> None:
    at("disabled")
    happened(5, version="v1", seconds_ago=50_000, apart=60)
    happened(3, version="v1", level="error", seconds_ago=400, apart=7000)
    look()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.severity) == ("v1_creation_failing", "critical")
    assert alert.words == "The last 3 conversations that members tried to start in V1 all failed."
    happened(1, version="v1")
    sql("UPDATE rollout_alert SET last_seen_at = last_seen_at - interval '301 s'")
    look()
    assert lifecycle.open_alerts() == ()


def test_v1_failing_alerts_although_v2_was_just_turned_off(at: At, happened: Happened, look: Look) -> None:
    at("percentage:50")
    happened(8, level="error")
    happened(8, version="v1", level="error")
    look()
    assert {alert.kind for alert in lifecycle.open_alerts()} == {"guard_rollback", "v1_creation_failing"}


def test_a_run_of_failures_trips_long_after_the_five_minutes(
    at: At, happened: Happened, look: Look, stage_now: StageNow
) -> None:
    # One offer every ten minutes: no five minutes ever hold enough of them for a rate.
    at("percentage:10", began_seconds_ago=86_400)
    happened(20, seconds_ago=40_000, apart=600)
    happened(12, level="error", seconds_ago=400, apart=600)
    look()
    assert stage_now() == "disabled"
    (alert,) = lifecycle.open_alerts()
    assert alert.kind == "guard_rollback"
    assert "12 of 32 operations failed in V2 since this stage began" in alert.words


def test_a_slow_call_alerts_at_once_and_changes_nothing(
    at: At, happened: Happened, look: Look, stage_now: StageNow
) -> None:
    at("internal")
    happened(1, ms=5200.4, version="v1")
    look()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.words) == (
        "slow_call",
        "A call took over 5 seconds within 5 minutes; the slowest took 5.2 s.",
    )
    assert stage_now() == "internal"


def test_a_call_ended_by_the_statement_timeout_alerts_as_slow(at: At, happened: Happened, look: Look) -> None:
    at("internal")
    happened(1, ms=3400, level="error", version="v1")
    look()
    assert not lifecycle.open_alerts()
    happened(1, ms=3510, level="error", version="v1")
    look()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.words) == (
        "slow_call",
        "A call waited for the database until the time limit within 5 minutes; the slowest took 3.5 s.",
    )


def test_eleven_connection_errors_in_a_minute_alert_even_later(at: At, happened: Happened, look: Look) -> None:
    at("internal")
    happened(11, level="error", version=None, connection_error=True, seconds_ago=200, apart=5)
    look()
    assert "connection_errors" in [alert.kind for alert in lifecycle.open_alerts()]


def test_ten_connection_errors_or_eleven_in_two_minutes_do_not(at: At, happened: Happened, look: Look) -> None:
    at("internal")
    happened(10, level="error", version=None, connection_error=True, seconds_ago=200)
    happened(1, level="error", version=None, connection_error=True, seconds_ago=120)
    look()
    assert "connection_errors" not in [alert.kind for alert in lifecycle.open_alerts()]


def test_v2_goes_off_even_when_the_alert_is_recorded_only_later(
    failing: None, look: Look, stage_now: StageNow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "raise_alert", refuse)
        patched.setattr(change_alerts, "note_changes", refuse)
        look()
    assert stage_now() == str(DISABLED)
    assert lifecycle.open_alerts() == ()
    look()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.disabled_v2, alert.stage) == ("guard_rollback", True, "percentage:50")


def test_a_look_takes_less_than_a_second_on_a_month_of_events(at: At, happened: Happened, look: Look) -> None:
    at("percentage:50", began_seconds_ago=30 * 86_400)
    happened(60_000, apart=40)
    happened(300, level="error", apart=8000)
    look()
    began = time.monotonic()
    look()
    assert time.monotonic() - began < 1


class Waits(threading.Event):
    """Writes down how long it was waited for, lets no time pass, and is set after so many waits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        if len(self.seconds) == self.most:
            self.set()
        return self.is_set()


@pytest.mark.parametrize(
    ("watches", "a_look_takes", "waits"), [(True, 0, 5), (True, 1.5, 3.5), (True, 8, 0), (False, 0, 2)]
)
def test_the_guard_checks_every_5_s_and_a_standby_asks_every_2_s(
    monkeypatch: pytest.MonkeyPatch, watches: bool, a_look_takes: float, waits: float
) -> None:
    clock, stop, guard = [100.0], Waits(3), Guard()

    def tick() -> bool:
        clock[0] += a_look_takes
        return watches

    monkeypatch.setattr(guard_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(guard, "tick", tick)
    guard.run(stop)
    assert stop.seconds == [waits] * 3
