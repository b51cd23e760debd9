"""A server that drips bytes is cut off after the same time as one that sends nothing."""

import threading
import time

import pytest
from pytest_django import Settings

from rollout.alerts import channels
from rollout.alerts.notifications import deliver_waiting, send_test_message
from rollout.models.alerts import Delivery
from tests.dripping import dripping
from tests.rollout.conftest import Sql
from tests.waiting import wait_for

# The head of a record of 16,384 bytes, which a browser waits for.
TLS_RECORD = b"\x16\x03\x03\x40\x00"


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 1.0)
    return 1.0


def hanging_attempts() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("delivery-")]


@pytest.mark.parametrize(
    ("scheme", "drip"),
    [
        ("http", b"x"),
        ("http", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\nX: "),
        ("https", TLS_RECORD),
    ],
)
def test_a_web_address_that_drips_is_left_in_time(
    db: None, settings: Settings, seconds: float, scheme: str, drip: bytes
) -> None:
    with dripping(drip=drip) as port:
        settings.ALERT_WEBHOOK_URL = f"{scheme}://127.0.0.1:{port}/hook"
        began = time.monotonic()
        sent = send_test_message(channel="webhook", actor_label="Ben")
        assert time.monotonic() - began < seconds + 1
        assert (sent.delivered_at, sent.error) == (None, "no answer within 1 s")
        wait_for(lambda: not hanging_attempts(), seconds=2)


def test_a_mail_server_that_drips_is_left_in_time(db: None, settings: Settings, seconds: float, sql: Sql) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.ALERT_EMAILS = ["oncall@example.org"]
    sql(
        "INSERT INTO rollout_alert (kind, key, severity, opened_at, last_seen_at, words, figures, stage, disabled_v2)"
        " VALUES ('guard_rollback', '1', 'critical', clock_timestamp() - interval '40 s', clock_timestamp(), 'Off.',"
        " '{}', 'disabled', true) RETURNING id"
    )
    with dripping(b"220 hello\r\n", drip=b"250-x\r\n") as port:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        began = time.monotonic()
        assert deliver_waiting() == 0
        assert time.monotonic() - began < seconds + 1
        assert Delivery.objects.get().error == "no answer within 1 s"
        wait_for(lambda: not hanging_attempts(), seconds=2)
