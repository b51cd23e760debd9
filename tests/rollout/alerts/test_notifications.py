"""People are told of each alert once when it opens and once when it ends, however long a channel was down."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from typing import Any

import pytest
import sentry_sdk
from aiosmtpd.controller import Controller
from django.core import mail
from pytest_django import Settings

from carecollective.core.errors import NotPermitted
from carecollective.observability import sentry
from rollout.alerts import channels, lifecycle
from rollout.alerts.messages import Present, alert_message
from rollout.alerts.notifications import channel_states, deliver_waiting, send_test_message
from rollout.alerts.rules import RULES
from rollout.errors import ChannelNotConfigured
from rollout.models.alerts import Delivery
from tests.mail.smtp_server import OK, MailServer, serving
from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server
from tests.rollout.conftest import Sql

OpenAlert = Callable[..., int]


@pytest.fixture
def slack(settings: Settings) -> Iterator[WebhookServer]:
    with webhook_server() as server:
        settings.SLACK_WEBHOOK_URL = server.address
        yield server


@pytest.fixture
def open_alert(sql: Sql) -> OpenAlert:
    def insert(kind: str = "guard_rollback", *, seconds_ago: float = 40, severity: str = "critical") -> int:
        row = sql(
            """
            INSERT INTO rollout_alert (kind, key, severity, opened_at, last_seen_at, words, figures, stage, disabled_v2)
            VALUES (%s, (SELECT count(*) FROM rollout_alert)::text, %s,
              clock_timestamp() - make_interval(secs => %s), clock_timestamp() - make_interval(secs => %s),
              '8 of 10 failed.', '{"failed": 8, "codes": {"database_error": 8}}', 'percentage:10', %s) RETURNING id
            """,
            kind, severity, seconds_ago, seconds_ago, kind == "guard_rollback",
        )  # fmt: skip
        return int(row[0])

    return insert


@pytest.fixture
def due_now(sql: Sql) -> Callable[[], None]:
    """Let the time pass until the next try."""
    return lambda: sql("UPDATE rollout_delivery SET next_try_at = clock_timestamp() WHERE next_try_at IS NOT NULL")


def resolve(sql: Sql) -> None:
    """Let ten minutes go by since everybody was told, and the alert end six minutes ago."""
    sql(
        "UPDATE rollout_alert SET opened_at = opened_at - interval '10 min', last_seen_at = last_seen_at - interval '10 min'"
    )
    sql("UPDATE rollout_delivery SET delivered_at = delivered_at - interval '10 min'")
    sql("UPDATE rollout_alert SET resolved_at = clock_timestamp() - interval '6 min' WHERE resolved_at IS NULL")


def test_slack_is_told_once_when_it_opens_and_once_when_it_is_over(
    slack: WebhookServer, open_alert: OpenAlert, sql: Sql
) -> None:
    key = open_alert()
    assert deliver_waiting() == 1
    assert deliver_waiting() == 0
    resolve(sql)
    assert deliver_waiting() == 1
    assert deliver_waiting() == 0
    beginning, end = (text.splitlines() for text in slack.texts)
    assert beginning[:3] == [
        "Critical: 8 of 10 failed.",
        "V2 is off; new conversations use V1.",
        "What to do: See that V1 serves members. Find the cause and file it in the control room before V2 is turned on again.",
    ]
    assert beginning[3].startswith("Stage: disabled now, percentage:10 when it began. Began: ")
    assert beginning[3].endswith("Error codes: database_error (8).")
    assert beginning[4] == f"http://127.0.0.1:8000/admin/rollout/#alert-{key}"
    assert end[0] == "Resolved: No new failures for 11 minutes. V2 is off; new conversations use V1."
    assert end[1].endswith(": 8 of 10 failed.")


def test_without_a_channel_nothing_is_queued(open_alert: OpenAlert, settings: Settings) -> None:
    open_alert()
    assert deliver_waiting() == 0
    assert not Delivery.objects.exists()


def test_a_refusing_channel_is_tried_again_after_growing_pauses(
    slack: WebhookServer, open_alert: OpenAlert, sql: Sql, due_now: Callable[[], None]
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


def test_a_late_first_message_says_it_is_over_and_is_the_only_one(
    slack: WebhookServer, open_alert: OpenAlert, sql: Sql, due_now: Callable[[], None]
) -> None:
    open_alert()
    slack.status = 500
    deliver_waiting()
    resolve(sql)
    slack.status = 200
    slack.received.clear()
    due_now()
    deliver_waiting()
    deliver_waiting()
    (text,) = slack.texts
    assert text.startswith("Critical: 8 of 10 failed.\nIt is over since ")
    assert "What to do" not in text


def test_after_a_day_it_is_given_up(
    slack: WebhookServer, open_alert: OpenAlert, sql: Sql, due_now: Callable[[], None]
) -> None:
    open_alert(seconds_ago=25 * 3600)
    slack.status = 500
    deliver_waiting()
    assert Delivery.objects.get().next_try_at is None
    slack.status = 200
    assert deliver_waiting() == 0


def test_a_hanging_server_delays_other_channels_by_no_more_than_5_s(
    slack: WebhookServer, open_alert: OpenAlert, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 0.5)
    slack.hang.set()
    settings.ALERT_EMAILS = ["oncall@example.org"]
    for kind in ("guard_rollback", "changed_from_outside", "worker_absent"):
        open_alert(kind)
    began = time.monotonic()
    assert deliver_waiting() == 3
    assert time.monotonic() - began < 1.5
    assert len(mail.outbox) == 3
    errors = set(Delivery.objects.filter(channel="slack").values_list("error", flat=True))
    assert errors <= {"TimeoutError", "no answer within 0 s"}


def test_a_refused_connection_is_an_error_without_the_address(
    open_alert: OpenAlert, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.SLACK_WEBHOOK_URL = f"http://127.0.0.1:{nobody.getsockname()[1]}/hooks/secret-token"
        open_alert()
        assert deliver_waiting() == 0
    assert Delivery.objects.get().error == "ConnectionRefusedError"
    assert "secret" not in caplog.text


def test_a_delivered_message_leaves_no_address_in_the_log(
    slack: WebhookServer, open_alert: OpenAlert, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    open_alert()
    assert deliver_waiting() == 1
    assert "secret" not in caplog.text


def test_a_redirect_is_not_followed(slack: WebhookServer, open_alert: OpenAlert) -> None:
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
    assert [(message.to, message.subject) for message in mail.outbox] == [
        ([address], f"[Care Collective] {subject}")
        for subject in ("Critical: 8 of 10 failed", "Resolved: No new failures for 11 minutes")
        for address in ("ada@example.org", "ben@example.org")
    ]
    assert "8 of 10 failed." in mail.outbox[0].body


def test_the_operators_own_address_gets_facts(open_alert: OpenAlert, settings: Settings) -> None:
    with webhook_server() as server:
        settings.ALERT_WEBHOOK_URL = server.address
        key = open_alert()
        assert deliver_waiting() == 1
    (fact,) = server.received
    assert fact["event"] == "alert.opened"
    assert (fact["id"], fact["kind"], fact["severity"], fact["stage"]) == (
        key, "guard_rollback", "critical", "percentage:10",
    )  # fmt: skip
    assert (fact["disabled_v2"], fact["figures"]["failed"], fact["resolved_at"]) == (True, 8, None)
    assert (fact["error_codes"], fact["v2_is_on_when_sent"], fact["stage_when_sent"]) == (
        ["database_error"], False, "disabled",
    )  # fmt: skip
    assert fact["link"].endswith(f"/admin/rollout/#alert-{key}")


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
    assert sent[0]["tags"]["alert"] == "guard_rollback"
    assert sent[0]["tags"]["stage"] == "percentage:10"
    assert sent[0]["fingerprint"] == sent[1]["fingerprint"] == ["rollout-alert", "guard_rollback", "0"]


def test_sentry_counts_as_told_only_when_it_took_the_message(db: None, settings: Settings) -> None:
    with webhook_server() as server, sentry_sdk.isolation_scope() as scope:
        settings.SENTRY_DSN = f"http://key@127.0.0.1:{server.server_port}/1"
        scope.set_client(
            sentry_sdk.Client(dsn=settings.SENTRY_DSN, transport=sentry.CountingTransport, default_integrations=False)
        )
        previous = sentry_sdk.get_global_scope().client
        sentry_sdk.get_global_scope().set_client(scope.client)
        try:
            assert send_test_message(channel="sentry").delivered_at is not None
            server.status = 500
            refused = send_test_message(channel="sentry")
            assert (refused.delivered_at, refused.error) == (None, "not taken")
            server.shutdown()
            server.server_close()
            assert send_test_message(channel="sentry").delivered_at is None
        finally:
            sentry_sdk.get_global_scope().set_client(previous)


def test_one_refused_address_keeps_nobody_else_from_the_alert(
    open_alert: OpenAlert, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    server = MailServer()
    server.answer_rcpt = lambda address: "550 no such mailbox" if address.startswith("ada@") else OK
    with serving(server):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.ALERT_EMAILS = ["ada@example.org", "ben@example.org"]
        open_alert()
        assert deliver_waiting() == 1
        assert server.addresses == ["ben@example.org"]
        assert "refused for 1 of 2 addresses" in caplog.text
        settings.ALERT_EMAILS = ["ada@example.org"]
        assert send_test_message(channel="email").error == "SMTPRecipientsRefused"


def test_a_test_message_goes_the_way_of_an_alert(db: None, slack: WebhookServer, staff: Callable[..., Any]) -> None:
    sent = send_test_message(channel="slack", actor=staff(name="Amina"))
    assert (sent.what, sent.attempts, sent.error, sent.next_try_at) == ("test", 1, "", None)
    assert sent.delivered_at is not None
    (text,) = slack.texts
    assert text.startswith("Test: alerts of the rollout arrive here by slack. Amina asked for this message.")
    state = next(one for one in channel_states() if one.name == "slack")
    assert (state.configured, state.tested_at, state.failed_at) == (True, sent.delivered_at, None)


def test_a_test_message_that_fails_is_not_tried_again(
    db: None, slack: WebhookServer, due_now: Callable[[], None]
) -> None:
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


def test_who_may_not_see_the_control_room_sends_no_test(
    db: None, slack: WebhookServer, member: Callable[..., Any]
) -> None:
    with pytest.raises(NotPermitted):
        send_test_message(channel="slack", actor=member())
    assert (slack.received, Delivery.objects.count()) == ([], 0)


def test_what_turned_v2_off_is_told_by_the_rollback_and_not_again(
    slack: WebhookServer, open_alert: OpenAlert, sql: Sql
) -> None:
    open_alert("integrity")
    sql("UPDATE rollout_alert SET disabled_v2 = true")
    open_alert("guard_rollback", seconds_ago=0)
    assert deliver_waiting() == 1
    assert slack.received[0]["text"].startswith("Critical: ")
    assert Delivery.objects.get().alert.kind == "guard_rollback"  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "seconds"), [
    ("changed_from_outside", 0), ("members_cannot_start", 0), ("v1_creation_failing", 0), ("integrity", 10),
    ("slow_call", 10), ("latency", 30), ("duplicates", 0),
])  # fmt: skip
def test_only_an_alert_that_may_be_silenced_waits_before_it_is_told(
    slack: WebhookServer, open_alert: OpenAlert, sql: Sql, kind: str, seconds: int
) -> None:
    open_alert(kind, seconds_ago=max(0, seconds - 2), severity="warning" if seconds == 30 else "critical")
    assert deliver_waiting() == (1 if seconds == 0 else 0)
    sql("UPDATE rollout_alert SET opened_at = opened_at - interval '3 s'")
    deliver_waiting()
    assert len(slack.received) == 1


def test_the_message_says_that_v2_is_on_again_when_it_is(
    slack: WebhookServer, open_alert: OpenAlert, stage: Callable[[str], None]
) -> None:
    open_alert(seconds_ago=1800)
    stage("percentage:50")
    deliver_waiting()
    (text,) = slack.texts
    assert "V2 is on (stage percentage:50)." in text
    assert "off" not in text
    assert "Stage: percentage:50 now, percentage:10 when it began." in text


def test_the_end_is_not_told_while_the_alert_may_go_on(slack: WebhookServer, open_alert: OpenAlert, sql: Sql) -> None:
    open_alert("slow_call")
    deliver_waiting()
    sql(
        "UPDATE rollout_alert SET resolved_at = clock_timestamp() - interval '4 min', opened_at = opened_at - interval '1 h'"
    )
    sql("UPDATE rollout_delivery SET delivered_at = delivered_at - interval '1 h'")
    assert deliver_waiting() == 0
    sql("UPDATE rollout_alert SET resolved_at = resolved_at - interval '2 min'")
    assert deliver_waiting() == 1
    assert slack.texts[1].startswith("Resolved: Nothing more of it was seen for ")


def test_the_end_of_an_outside_change_names_who_acknowledged_it(
    slack: WebhookServer, open_alert: OpenAlert, sql: Sql, staff: Callable[..., Any]
) -> None:
    key = open_alert("changed_from_outside")
    deliver_waiting()
    lifecycle.acknowledge(actor=staff(name="Amina"), alert_id=key)
    sql(
        "UPDATE rollout_alert SET resolved_at = clock_timestamp() - interval '6 min', opened_at = opened_at - interval '1 h'"
    )
    sql("UPDATE rollout_delivery SET delivered_at = delivered_at - interval '1 h'")
    deliver_waiting()
    assert slack.texts[1].startswith("Resolved: The rollout was changed from outside: acknowledged by Amina at ")


def test_every_message_has_state_action_stage_time_and_link(slack: WebhookServer, open_alert: OpenAlert) -> None:
    for rule in RULES:
        open_alert(rule.kind, seconds_ago=100)
    messages = [
        alert_message(record, "opened", Present(at=record.opened_at, stage="internal", v2_is_on=True))
        for record in lifecycle.open_alerts()
    ]
    assert len(messages) == len(RULES)
    for message in messages:
        lines = message.text.splitlines()
        assert lines[0] == "Critical: 8 of 10 failed."
        assert "V2 is on (stage internal)." in lines[1]
        assert lines[2].startswith("What to do: ")
        assert re.fullmatch(
            r"Stage: internal now, percentage:10 when it began\. Began: \d\d:\d\d:\d\d UTC on .*\. Error codes: .*",
            lines[3],
        )
        assert lines[4].startswith("http://127.0.0.1:8000/admin/rollout/#alert-")
        assert len(message.subject) < 100


def test_a_mail_servers_refusal_of_an_alert_is_kept_and_retried(
    open_alert: OpenAlert, settings: Settings, due_now: Callable[[], None]
) -> None:
    received: list[Any] = []

    class Server:
        refuses = True

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd calls it so)
            if self.refuses:
                return "451 Try again later"
            received.append(envelope)
            return "250 OK"

    handler = Server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.ALERT_EMAILS = ["oncall@example.org"]
        key = open_alert()
        assert deliver_waiting() == 0
        (state,) = (one for one in channel_states() if one.name == "email")
        assert (state.delivered_at, state.error, state.waiting) == (None, "SMTPDataError", 1)
        handler.refuses = False
        due_now()
        assert deliver_waiting() == 1
    finally:
        controller.stop()
    (envelope,) = received
    body = message_from_bytes(envelope.content).get_payload(decode=True)
    assert isinstance(body, bytes)
    assert envelope.rcpt_tos == ["oncall@example.org"]
    assert body.decode().startswith("Critical: 8 of 10 failed.")
    assert f"/admin/rollout/#alert-{key}" in body.decode()
