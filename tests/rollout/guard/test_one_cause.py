"""One cause sends one message: the strongest wins, whichever came first, and a flap is one alert."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from rollout.alerts import lifecycle
from rollout.alerts.notifications import deliver_waiting
from rollout.guard.change_alerts import note_changes
from rollout.models.alerts import Alert
from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server
from tests.rollout.conftest import Happened, Sql

At = Callable[..., None]
Look = Callable[[], None]

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def slack(settings: Settings) -> Iterator[WebhookServer]:
    with webhook_server() as server:
        settings.SLACK_WEBHOOK_URL = server.address
        yield server


@pytest.fixture
def later(sql: Sql) -> Callable[[int], None]:
    """Let so many seconds go by, for alerts, events and what was told."""

    def pass_by(seconds: int) -> None:
        for table, columns in {
            "rollout_alert": ("opened_at", "last_seen_at", "worsened_at", "resolved_at"),
            "application_logs": ("timestamp",),
            "rollout_delivery": ("delivered_at",),
        }.items():
            sql(f"UPDATE {table} SET " + ", ".join(f"{one} = {one} - interval '{seconds} s'" for one in columns))

    return pass_by


def test_a_slow_database_is_told_once(
    slack: WebhookServer, at: At, happened: Happened, look: Look, later: Callable[[int], None]
) -> None:
    at("enabled")
    happened(40, method="sendMessage", ms=2500)
    look()
    later(5)
    happened(10, method="sendMessage", ms=5600, level="error")
    happened(12, method="request", version=None, level="error", connection_error=True)
    for _moment in range(12):
        look()
        note_changes()
        deliver_waiting()
        later(10)
    (text,) = slack.texts
    assert text.startswith("Critical: ")


def test_a_weaker_alert_that_came_first_waits_for_the_stronger(
    slack: WebhookServer, at: At, happened: Happened, look: Look, later: Callable[[int], None]
) -> None:
    at("enabled")
    happened(40, method="sendMessage", ms=2500)
    look()
    deliver_waiting()
    later(6)
    happened(1, method="sendMessage", ms=5600)
    look()
    assert {alert.kind for alert in lifecycle.open_alerts()} == {"latency", "slow_call"}
    for _moment in range(10):
        deliver_waiting()
        later(10)
        look()
    (text,) = slack.texts
    assert "took over 5 seconds" in text


def test_a_weaker_alert_by_itself_is_told(
    slack: WebhookServer, at: At, happened: Happened, look: Look, later: Callable[[int], None]
) -> None:
    at("enabled")
    happened(40, method="sendMessage", ms=2500)
    look()
    later(31)
    deliver_waiting()
    (text,) = slack.texts
    assert text.startswith("Warning: The slowest twentieth of 40 messages took 2500 ms")


def test_a_flap_of_an_hour_is_one_beginning_and_one_end(
    slack: WebhookServer, at: At, happened: Happened, look: Look, later: Callable[[int], None]
) -> None:
    at("enabled")
    for _flap in range(9):
        happened(1, ms=5600)
        look()
        later(15)
        look()
        deliver_waiting()
        later(385)  # out of its window, and quiet for longer than its minute
        look()
        deliver_waiting()
    assert Alert.objects.filter(kind="slow_call").count() == 1
    later(400)
    look()
    deliver_waiting()
    later(400)
    deliver_waiting()
    assert [text.split(":")[0] for text in slack.texts] == ["Critical", "Resolved"]


REFUSED = "permission_denied"


@pytest.mark.parametrize(("version", "refused", "succeeded", "found"), [
    ("v2", 40, 0, [("refusals", "critical")]),
    ("v2", 40, 60, [("refusals", "warning")]),
    (None, 40, 0, [("refusals", "critical")]),
    ("v1", 40, 0, [("refusals", "critical")]),
    ("v2", 19, 0, [("refusals", "warning")]),
    ("v2", 9, 0, []),  # too few to tell
    ("v2", 10, 400, []),  # under a twentieth
])  # fmt: skip
def test_a_code_that_refuses_far_more_than_before_alerts(
    at: At, happened: Happened, look: Look, version: str | None, refused: int, succeeded: int, found: list[Any]
) -> None:
    at("percentage:10")
    happened(refused, version=version, level="warn", code=REFUSED)
    if succeeded:
        happened(succeeded, version="v2")
    look()
    assert [(alert.kind, alert.severity) for alert in lifecycle.open_alerts()] == found


@pytest.mark.parametrize(("members", "refused", "then_succeeded", "found"), [
    (3, 12, 0, [("refusals", "critical")]),
    (3, 12, 4, [("refusals", "warning")]),
    (3, 12, 80, []),  # it is over
    (3, 5, 0, []),  # too few to tell
    (2, 12, 0, []),  # two members who try again and again
    (0, 12, 0, []),  # nobody knows how many they are
])  # fmt: skip
def test_where_little_happens_the_latest_operations_of_a_week_tell(
    at: At, happened: Happened, look: Look, members: int, refused: int, then_succeeded: int, found: list[Any]
) -> None:
    at("percentage:10", began_seconds_ago=5 * 86_400)
    happened(50, version="v2", apart=60, seconds_ago=300_000)
    happened(refused, version="v2", level="warn", code=REFUSED, apart=1200, seconds_ago=50_000, members=members)
    happened(then_succeeded, version="v2", apart=400, seconds_ago=1000)
    happened(200, version="v1", apart=60, seconds_ago=1000)
    look()
    assert [(alert.kind, alert.severity) for alert in lifecycle.open_alerts()] == found


def test_the_latest_operations_are_named_in_the_alert(at: At, happened: Happened, look: Look) -> None:
    at("percentage:10", began_seconds_ago=5 * 86_400)
    happened(12, level="warn", code=REFUSED, apart=1200, seconds_ago=3000, members=4)
    look()
    (alert,) = lifecycle.open_alerts()
    assert alert.words == (
        "12 of the latest 12 starts and sends were refused with permission_denied in V2: 100%, "
        "against 0% in the stage before."
    )
    assert alert.error_codes == (REFUSED,)


def test_what_was_as_usual_in_the_stage_before_alerts_nobody(at: At, happened: Happened, look: Look, sql: Sql) -> None:
    at("disabled", began_seconds_ago=90_000)
    sql("UPDATE rollout_flag SET stage = 'percentage:10'")
    sql("UPDATE rollout_change_alerts_start SET after_change_id = (SELECT max(id) FROM rollout_change)")
    happened(90, version="v1", seconds_ago=4000)
    happened(20, version="v1", level="warn", code=REFUSED, seconds_ago=4000)
    happened(60)
    happened(14, level="warn", code=REFUSED)
    look()
    assert lifecycle.open_alerts() == ()
    happened(200, level="warn", code=REFUSED)
    look()
    (alert,) = lifecycle.open_alerts()
    assert alert.words.startswith("214 of 274 starts and sends were refused with permission_denied in ")
    assert "against 18.18% in the stage before." in alert.words
    assert alert.error_codes == (REFUSED,)


def test_a_repeat_of_the_offer_is_no_new_refusal(at: At, happened: Happened, look: Look) -> None:
    at("percentage:10")
    happened(3, level="warn", code="conversation_exists")
    happened(60)
    look()
    assert lifecycle.open_alerts() == ()
