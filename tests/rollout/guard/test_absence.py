"""Guard and worker watch each other: either's absence is told while it lasts, and ends when it returns."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from carecollective.inbox.services import NEW_CONVERSATIONS_PAUSED, PAUSED_FOR_ALL, offer_help
from carecollective.messaging.errors import MessagingUnavailable
from rollout.alerts import lifecycle
from rollout.alerts.notifications import deliver_waiting
from rollout.guard import absence
from rollout.guard.absence import WorkerWatch, check_guard
from rollout.guard.runner import Guard
from rollout.stages import DISABLED, INTERNAL, Stage
from tests.roles import as_role
from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server
from tests.rollout.conftest import Sql

Make = Callable[..., Any]
At = Callable[..., None]

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have run for an hour."""
    monkeypatch.setattr(absence, "_STARTED_AT", time.monotonic() - 3600)


@pytest.fixture
def slack(settings: Settings) -> Iterator[WebhookServer]:
    with webhook_server() as server:
        settings.SLACK_WEBHOOK_URL = server.address
        yield server


@pytest.fixture
def looked(sql: Sql) -> Callable[[float], None]:
    """Let the guard have looked last so many seconds ago."""
    return lambda ago: sql(
        "UPDATE rollout_guard_lease SET renewed_at = clock_timestamp() - make_interval(secs => %s)", ago
    )


@pytest.fixture
def beat(sql: Sql) -> Callable[..., None]:
    """Let the worker have been heard last so many seconds ago."""

    def write(ago: float, *, stuck: str = "") -> None:
        sql("DELETE FROM core_workerheartbeat")
        sql(
            "INSERT INTO core_workerheartbeat (name, beat_at, stuck_tasks)"
            " VALUES ('worker', clock_timestamp() - make_interval(secs => %s), %s)",
            ago, stuck,
        )  # fmt: skip

    return write


def watch(*, up_for: float = 3600) -> WorkerWatch:
    watching = WorkerWatch()
    watching.started_at -= up_for
    return watching


def open_kinds() -> list[tuple[str, str]]:
    return [(alert.kind, alert.severity) for alert in lifecycle.open_alerts()]


@pytest.mark.parametrize(("at_stage", "seconds_ago", "opened"), [
    ("percentage:10", 59, []),
    ("percentage:10", 61, [("guard_absent", "critical")]),
    ("enabled", 61, [("guard_absent", "critical")]),
    ("disabled", 61, [("guard_absent", "warning")]),
])  # fmt: skip
def test_the_guards_absence_is_told_while_it_lasts(
    at: At, looked: Callable[[float], None], at_stage: str, seconds_ago: float, opened: list[tuple[str, str]]
) -> None:
    at(at_stage)
    looked(seconds_ago)
    check_guard()
    assert open_kinds() == opened


def test_the_alert_names_the_stage_and_ends_when_the_guard_is_back(
    at: At, looked: Callable[[float], None], slack: WebhookServer
) -> None:
    at("percentage:10")
    looked(600)
    check_guard()
    deliver_waiting()
    assert slack.texts == []  # V1 frozen would be worse, and be told instead; ten seconds decide
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute("UPDATE rollout_alert SET opened_at = opened_at - interval '11 s'")
        cursor.execute("SET ROLE carecollective_web")
    deliver_waiting()
    (text,) = slack.texts
    assert text.startswith(
        "Critical: No guard has watched for 600 s. V2 is off by itself (the stage is percentage:10)."
    )
    looked(1)
    check_guard()
    assert lifecycle.open_alerts() == ()


def test_a_guard_that_never_came_is_told_too(at: At, sql: Sql) -> None:
    at("internal")
    sql("DELETE FROM rollout_guard_lease")
    check_guard()
    (alert,) = lifecycle.open_alerts()
    assert alert.words.startswith("No guard has ever watched the rollout.")


def test_a_worker_that_has_just_started_gives_the_guard_a_minute(
    at: At, looked: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    at("internal")
    looked(30_000)
    monkeypatch.setattr(absence, "_STARTED_AT", time.monotonic() - 30)
    check_guard()
    assert lifecycle.open_alerts() == ()


def test_a_returning_guard_resolves_the_alert_with_its_duration(
    guard: Guard, at: At, looked: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    at("percentage:10")
    looked(360)
    check_guard()
    guard.lock.connection = connection
    monkeypatch.setattr(guard.lock, "release", lambda: None)
    with as_role("guard"):
        guard.tick()
    (alert,) = lifecycle.recent_alerts()
    assert (alert.kind, alert.figures, alert.resolved_at is not None) == ("guard_absent", {"seconds": 300}, True)


@pytest.mark.parametrize(("seconds_ago", "opened"), [(59, []), (61, [("worker_absent", "warning")])])
def test_the_workers_absence_is_told_by_the_guard(
    beat: Callable[..., None], seconds_ago: float, opened: list[tuple[str, str]]
) -> None:
    beat(seconds_ago)
    with as_role("guard"):
        watch().look(stage=DISABLED)
    assert open_kinds() == opened
    beat(1)
    with as_role("guard"):
        watch().look(stage=DISABLED)
    assert open_kinds() == []


def test_a_worker_that_hangs_in_a_task_is_told_with_the_tasks_name(beat: Callable[..., None]) -> None:
    beat(1, stuck="carecollective.inbox.notifications.send_waiting")
    with as_role("guard"):
        watch().look(stage=DISABLED)
    (alert,) = lifecycle.open_alerts()
    assert alert.words == "The worker hangs in carecollective.inbox.notifications.send_waiting."


def test_a_worker_that_never_came_is_told_after_a_minute() -> None:
    with as_role("guard"):
        watch(up_for=59).look(stage=DISABLED)
        assert open_kinds() == []
        watch(up_for=61).look(stage=DISABLED)
    assert open_kinds() == [("worker_absent", "warning")]


@pytest.mark.parametrize(("at_stage", "v1_writes", "seconds_ago", "opened"), [
    ("percentage:50", False, 61, [("members_cannot_start", "critical")]),
    ("percentage:50", False, 1, []),  # those in V2 can
    ("percentage:50", True, 61, [("guard_absent", "critical")]),
    ("enabled", False, 61, [("guard_absent", "critical")]),  # without a guard V1 takes writes again
    ("disabled", False, 1, [("members_cannot_start", "critical")]),
])  # fmt: skip
def test_that_nobody_can_start_is_one_critical_alert(
    at: At, sql: Sql, looked: Callable[[float], None], at_stage: str, v1_writes: bool, seconds_ago: float,
    opened: list[tuple[str, str]],
) -> None:  # fmt: skip
    at(at_stage)
    sql("UPDATE rollout_flag SET v1_writes = %s", v1_writes)
    looked(seconds_ago)
    check_guard()
    assert open_kinds() == opened
    sql("UPDATE rollout_flag SET v1_writes = true")
    looked(1)
    check_guard()
    assert open_kinds() == []


def test_that_nobody_can_start_is_told_at_once(
    at: At, sql: Sql, looked: Callable[[float], None], slack: WebhookServer
) -> None:
    at("percentage:50")
    sql("UPDATE rollout_flag SET v1_writes = false")
    looked(61)
    check_guard()
    deliver_waiting()
    (text,) = slack.texts
    assert text.splitlines()[:2] == [
        "Critical: No member can start a conversation: V1 is frozen and V2 is off by itself without a guard "
        "(the stage is percentage:50).",
        "Every offer of help is refused; members are asked to try again later. "
        "V2 is off and V1 is frozen (stage percentage:50): nobody can start a conversation.",
    ]


@pytest.mark.parametrize(("at_stage", "looked_ago", "said"), [
    ("percentage:50", 61, PAUSED_FOR_ALL), ("disabled", 1, PAUSED_FOR_ALL), ("internal", 1, NEW_CONVERSATIONS_PAUSED),
])  # fmt: skip
def test_members_are_told_whether_it_is_them_or_everybody(
    at: At, sql: Sql, looked: Callable[[float], None], member: Make, help_request: Make, at_stage: str,
    looked_ago: float, said: Any,
) -> None:  # fmt: skip
    at(at_stage)
    sql("UPDATE rollout_flag SET v1_writes = false")
    looked(looked_ago)
    helper, request = member(), help_request()
    with pytest.raises(MessagingUnavailable) as refusal:
        offer_help(actor=helper, help_request_id=request.pk, initial_message="I can help with that.")
    assert refusal.value.message == said
    assert sql("SELECT (SELECT count(*) FROM conversations) + (SELECT count(*) FROM conversations_v2)") == (0,)


def test_the_guard_sees_it_where_the_worker_is_gone(at: At, sql: Sql, beat: Callable[..., None]) -> None:
    at("disabled")
    sql("UPDATE rollout_flag SET v1_writes = false")
    beat(1)
    with as_role("guard"):
        watch().look(stage=INTERNAL)
    assert open_kinds() == [("members_cannot_start", "critical")]


def test_the_guard_may_send_what_waits(
    slack: WebhookServer, beat: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(300)
    with as_role("guard"):
        watching = watch()
        monkeypatch.setattr(absence, "_deliver", deliver_waiting)
        monkeypatch.setattr(absence, "_try_v1", lambda: None)
        monkeypatch.setattr(watching, "_run_beside", lambda work: work())  # on the test's connection
        watching.look(stage=Stage.parse("internal"))
        watching.look(stage=Stage.parse("internal"))
    (text,) = slack.texts
    assert text.startswith("Warning: The worker was last heard 300 s ago.")


def test_a_look_waits_for_no_address_that_never_answers(
    slack: WebhookServer, beat: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(300)

    released = threading.Event()

    def hang() -> None:
        released.wait(30)

    monkeypatch.setattr(absence, "_deliver", hang)
    watching = watch()
    began = time.monotonic()
    with as_role("guard"):
        watching.look(stage=DISABLED)
        sender = watching.threads[hang]
        watching.look(stage=DISABLED)
    assert time.monotonic() - began < 2
    assert watching.threads[hang] is sender
    released.set()
    for thread in watching.threads.values():
        thread.join(10)
        assert not thread.is_alive()
