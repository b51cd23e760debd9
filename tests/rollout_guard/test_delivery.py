"""Each alert reaches people once when it opens and once when it is over, however long their channel was away."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from django.core import mail
from pytest_django import Settings

from carecollective.core.errors import NotPermitted
from rollout import delivery
from rollout.alert_log import Delivery
from rollout.delivery import channel_states, deliver_waiting, send_test_message
from rollout.errors import ChannelNotConfigured
from tests.rollout_guard.conftest import Sql
from tests.rollout_guard.listener import Listener, listening

OpenAlert = Callable[..., int]


@pytest.fixture
def slack(settings: Settings) -> Iterator[Listener]:
    with listening() as server:
        settings.SLACK_WEBHOOK_URL = server.address
        yield server


@pytest.fixture
def open_alert(sql: Sql) -> OpenAlert:
    def insert(kind: str = "creation_failing", *, seconds_ago: float = 10, disabled_v2: bool = True) -> int:
        row = sql(
            """
            INSERT INTO rollout_alert (kind, severity, opened_at, words, figures, stage, disabled_v2)
            VALUES (%s, 'critical', clock_timestamp() - make_interval(secs => %s), '8 of 10 failed.', '{"failed": 8}',
              'percentage:10', %s) RETURNING id
            """,
            kind, seconds_ago, disabled_v2,
        )  # fmt: skip
        return int(row[0])

    return insert


@pytest.fixture
def due_now(sql: Sql) -> Callable[[], None]:
    """Let the time pass until the next try."""
    return lambda: sql("UPDATE rollout_delivery SET next_try_at = clock_timestamp() WHERE next_try_at IS NOT NULL")


def resolve(sql: Sql) -> None:
    sql("UPDATE rollout_alert SET resolved_at = opened_at + interval '6 min' WHERE resolved_at IS NULL")


def test_slack_is_told_once_when_it_opens_and_once_when_it_is_over(
    slack: Listener, open_alert: OpenAlert, sql: Sql
) -> None:
    open_alert()
    assert deliver_waiting() == 1
    assert deliver_waiting() == 0
    resolve(sql)
    assert deliver_waiting() == 1
    assert deliver_waiting() == 0
    assert slack.texts == [
        "Critical: Conversations cannot be started. 8 of 10 failed. V2 was turned off (it was at percentage:10); offers "
        "go on in V1. Look at the errors by code, then at the database.",
        "Resolved after 6 minutes: Conversations cannot be started. It began with: 8 of 10 failed. V2 stays off until "
        "somebody turns it on again.",
    ]


def test_without_a_channel_nothing_is_queued(open_alert: OpenAlert, settings: Settings) -> None:
    open_alert()
    assert deliver_waiting() == 0
    assert not Delivery.objects.exists()


def test_a_channel_that_refuses_is_tried_again_after_longer_and_longer_pauses(
    slack: Listener, open_alert: OpenAlert, sql: Sql, due_now: Callable[[], None]
) -> None:
    open_alert()
    slack.status = 503
    for pause in (5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900):
        (before,) = sql("SELECT clock_timestamp()")
        assert deliver_waiting() == 0
        # Counted from a moment in between, however long the try took.
        (least, most) = sql(
            "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float, extract(epoch FROM next_try_at - %s)::float"
            " FROM rollout_delivery",
            before,
        )
        assert least <= pause <= most
        due_now()
    stored = Delivery.objects.get()
    assert (stored.attempts, stored.error, stored.delivered_at) == (12, "answered 503", None)
    slack.status = 200
    assert deliver_waiting() == 1
    stored = Delivery.objects.get()
    # The page shows a channel's last failure after the next success, too.
    assert (stored.delivered_at is not None, stored.next_try_at, stored.error) == (True, None, "answered 503")


def test_the_end_is_told_only_after_the_beginning(
    slack: Listener, open_alert: OpenAlert, sql: Sql, due_now: Callable[[], None]
) -> None:
    open_alert()
    slack.status = 500
    deliver_waiting()
    resolve(sql)
    slack.status = 200
    deliver_waiting()
    assert len(slack.heard) == 1
    due_now()
    deliver_waiting()
    deliver_waiting()
    assert [text.split()[0] for text in slack.texts] == ["Critical:", "Critical:", "Resolved"]


def test_after_a_day_it_is_given_up(
    slack: Listener, open_alert: OpenAlert, sql: Sql, due_now: Callable[[], None]
) -> None:
    open_alert(seconds_ago=25 * 3600)
    slack.status = 500
    deliver_waiting()
    assert Delivery.objects.get().next_try_at is None
    slack.status = 200
    assert deliver_waiting() == 0


def test_a_server_that_never_answers_holds_up_nothing_for_more_than_five_seconds(
    slack: Listener, open_alert: OpenAlert, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 0.5)
    slack.hang.set()
    settings.ALERT_EMAILS = ["oncall@example.org"]
    for kind in ("creation_failing", "slow_call", "latency"):
        open_alert(kind)
    began = time.monotonic()
    assert deliver_waiting() == 3
    assert time.monotonic() - began < 1.5
    assert len(mail.outbox) == 3
    errors = set(Delivery.objects.filter(channel="slack").values_list("error", flat=True))
    assert errors <= {"TimeoutError", "no answer within 0 s"}


def test_an_address_where_nobody_listens_is_an_error_without_the_address(
    open_alert: OpenAlert, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.SLACK_WEBHOOK_URL = f"http://127.0.0.1:{nobody.getsockname()[1]}/hooks/secret-token"
        open_alert()
        assert deliver_waiting() == 0
    assert Delivery.objects.get().error == "ConnectionRefusedError"
    assert "secret" not in caplog.text


def test_a_redirect_is_not_followed(slack: Listener, open_alert: OpenAlert) -> None:
    slack.status = 302
    slack.headers = {"Location": "http://127.0.0.1:1/elsewhere"}
    open_alert()
    assert deliver_waiting() == 0
    assert Delivery.objects.get().error == "answered 302"


def test_an_e_mail_goes_to_all_addresses(open_alert: OpenAlert, settings: Settings, sql: Sql) -> None:
    settings.ALERT_EMAILS = ["ada@example.org", "ben@example.org"]
    open_alert()
    assert deliver_waiting() == 1
    resolve(sql)
    assert deliver_waiting() == 1
    assert [message.subject for message in mail.outbox] == [
        "[Care Collective] Critical: Conversations cannot be started",
        "[Care Collective] Resolved: Conversations cannot be started",
    ]
    assert all(message.to == ["ada@example.org", "ben@example.org"] for message in mail.outbox)
    assert "8 of 10 failed." in mail.outbox[0].body


def test_the_operators_own_address_gets_facts(open_alert: OpenAlert, settings: Settings) -> None:
    with listening() as server:
        settings.ALERT_WEBHOOK_URL = server.address
        key = open_alert()
        assert deliver_waiting() == 1
    (fact,) = server.heard
    assert fact["event"] == "alert.opened"
    assert (fact["id"], fact["kind"], fact["severity"], fact["stage"]) == (
        key, "creation_failing", "critical", "percentage:10",
    )  # fmt: skip
    assert (fact["disabled_v2"], fact["figures"], fact["resolved_at"]) == (True, {"failed": 8}, None)


def test_sentry_is_told_with_the_kind_and_the_stage(open_alert: OpenAlert, settings: Settings, sql: Sql) -> None:
    sent: list[Any] = []

    class Kept(sentry_sdk.Transport):
        def capture_envelope(self, envelope: Any) -> None:
            sent.extend(item.payload.json for item in envelope.items if item.headers["type"] == "event")

    settings.SENTRY_DSN = "http://key@127.0.0.1:1/1"
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(sentry_sdk.Client(dsn=settings.SENTRY_DSN, transport=Kept, default_integrations=False))
        previous = sentry_sdk.get_global_scope().client
        sentry_sdk.get_global_scope().set_client(scope.client)
        try:
            open_alert()
            assert deliver_waiting() == 1
            resolve(sql)
            assert deliver_waiting() == 1
        finally:
            sentry_sdk.get_global_scope().set_client(previous)
    assert [event["level"] for event in sent] == ["fatal", "info"]
    assert sent[0]["tags"]["alert"] == "creation_failing"
    assert sent[0]["tags"]["stage"] == "percentage:10"
    assert sent[0]["fingerprint"] == sent[1]["fingerprint"] == ["rollout-alert", "creation_failing"]


def test_a_test_message_goes_the_way_of_an_alert(db: None, slack: Listener, staff: Callable[..., Any]) -> None:
    sent = send_test_message(channel="slack", actor=staff(name="Amina"))
    assert (sent.what, sent.attempts, sent.error, sent.next_try_at) == ("test", 1, "", None)
    assert sent.delivered_at is not None
    (text,) = slack.texts
    assert text.startswith("Test: alerts of the rollout arrive here by slack. Amina asked for this message.")
    state = next(one for one in channel_states() if one.name == "slack")
    assert (state.configured, state.tested_at, state.failed_at) == (True, sent.delivered_at, None)


def test_a_test_message_that_fails_is_not_tried_again(db: None, slack: Listener, due_now: Callable[[], None]) -> None:
    slack.status = 404
    sent = send_test_message(channel="slack")
    assert (sent.delivered_at, sent.error, sent.next_try_at) == (None, "answered 404", None)
    due_now()
    slack.status = 200
    assert deliver_waiting() == 0
    state = next(one for one in channel_states() if one.name == "slack")
    assert (state.tested_at, state.error, state.failed_at) == (None, "answered 404", sent.failed_at)


def test_a_channel_that_is_not_set_up_sends_no_test(db: None) -> None:
    with pytest.raises(ChannelNotConfigured):
        send_test_message(channel="slack")
    assert not Delivery.objects.exists()
    assert [(state.name, state.configured) for state in channel_states()] == [
        ("slack", False), ("email", False), ("sentry", False), ("webhook", False),
    ]  # fmt: skip


def test_who_may_not_see_the_control_room_sends_no_test(db: None, slack: Listener, member: Callable[..., Any]) -> None:
    with pytest.raises(NotPermitted):
        send_test_message(channel="slack", actor=member())
    assert (slack.heard, Delivery.objects.count()) == ([], 0)


def test_an_alert_is_told_only_once_it_is_known_whether_v2_went_off(
    slack: Listener, open_alert: OpenAlert, sql: Sql
) -> None:
    open_alert(seconds_ago=0, disabled_v2=False)
    assert deliver_waiting() == 0
    sql("UPDATE rollout_alert SET disabled_v2 = true")
    assert deliver_waiting() == 1
    assert "V2 was turned off" in slack.texts[0]
