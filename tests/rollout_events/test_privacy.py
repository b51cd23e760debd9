"""No word of a message, no address and no token leaves the process with a log line, an event or an error report."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from carecollective.core.logging import JsonFormatter, render_exception, scrub
from carecollective.core.sentry import clean

TEXT = "zanzibarfish sings\nin the middle of the wolkenkuckuck"
WORDS = ("zanzibarfish", "wolkenkuckuck")
EMAIL = "quittenmarmelade@canary.example"


@pytest.fixture
def canary(committed_db: None, connect_as: Any, stage: Any) -> "subprocess.CompletedProcess[str]":
    stage("enabled")
    web = connect_as("web").info
    parameters = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT")}
    parameters |= {"USER": web.user, "PASSWORD": web.password, "OPTIONS": {"server_side_binding": True}}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.rollout_events.canary_site"],
        cwd=django_settings.BASE_DIR,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "CANARY_DATABASE": json.dumps(parameters),
            "CANARY_TEXT": TEXT,
            "CANARY_EMAIL": EMAIL,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_canary_leaves_its_cage(canary, connect_as):
    assert canary.returncode == 0, canary.stderr
    first, _, rest = canary.stderr.partition("\n")
    token = first.removeprefix("TOKEN ")
    assert len(token) == 64
    logs, _, sent = canary.stdout.partition("SENTRY ")
    table = connect_as("superuser").execute("SELECT json_agg(a)::text FROM application_logs a").fetchone()
    assert table
    server = (django_settings.DATA_DIR / "postgres.log").read_text(errors="replace")
    for name, text in {"stdout": logs, "stderr": rest, "Sentry": sent, "events": table[0], "server": server}.items():
        for secret in (*WORDS, EMAIL, EMAIL.partition("@")[0], token, token[::-1]):
            assert secret not in text, f"{secret} in {name}"

    # And yet each tells its story.
    lines = [json.loads(line) for line in (logs + rest).splitlines() if line.startswith("{")]
    assert sum("exception" in line for line in lines) >= 6
    assert sum(line.get("service") == "MessagingServiceV2" for line in lines) == 5
    assert "conversations_v2_initial_message_length" in rest
    assert "invalid input syntax for type uuid" in rest
    assert "conversations_v2_initial_message_length" in sent
    assert int(sent.partition("\n")[0]) >= 7
    assert '"stage":"enabled"' in sent
    assert '"version":"v2"' in sent
    kept = {row["request_id"]: row for row in json.loads(table[0])}
    assert kept.keys() == {line["request_id"] for line in lines if line.get("service") == "MessagingServiceV2"}, kept
    assert len(json.loads(table[0])) == len(kept) == 5


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("new row violates check\nDETAIL:  Failing row contains (a, b).\nMore words", "new row violates check"),
        ("lock not available\nCONTEXT:  unnamed portal with parameter $1 = 'x'", "lock not available"),
        ('invalid input syntax for type uuid: "x"\nLINE 1: y', "invalid input syntax for type uuid"),
        ("“x” is not a valid UUID.", "“…” is not a valid UUID."),
        ("from ada@example.org, twice", "from [e-mail], twice"),
        ("Authorization: Token 0123456789abcdefXYZ", "Authorization: [token]"),
        ("a" * 64, "[token]"),
        ("GET /api/x?cursor=abc&q=def done", "GET /api/x?… done"),
        ("Is it done? Yes.", "Is it done? Yes."),
        ("messaging_v2 at 12:30", "messaging_v2 at 12:30"),
    ],
)
def test_what_quotes_is_cut(text, scrubbed):
    assert scrub(text) == scrubbed


def test_a_chain_of_errors_keeps_its_frames_when_one_of_them_quotes():
    try:
        try:
            raise ValueError("row\nDETAIL:  Failing row contains (zanzibarfish).")
        except ValueError as cause:
            raise KeyError("after") from cause
    except KeyError as error:
        rendered = render_exception(error)
    assert "zanzibarfish" not in rendered.replace(
        'raise ValueError("row\\nDETAIL:  Failing row contains (zanzibarfish).")', ""
    )
    assert "ValueError: row" in rendered
    assert "direct cause" in rendered
    assert rendered.rstrip().endswith("builtins.KeyError: 'after'")


def test_a_line_has_the_playbooks_names_in_its_order(event, monkeypatch):
    import logging

    from rollout import events

    handler = next(iter(logging.getLogger("rollout.events").handlers))
    assert isinstance(handler.formatter, JsonFormatter)
    records: list[str] = []
    monkeypatch.setattr(handler, "emit", lambda record: records.append(handler.format(record)))
    one = event(conversation_id=event().key, help_request_id=event().key, duration_ms=333.4)
    events.record(one)
    (line,) = map(json.loads, records)
    assert {name: line[name] for name in line if name not in ("timestamp", "logger", "version", "stage")} == {
        "log_level": "info",
        "service": "MessagingServiceV2",
        "method": "sendMessage",
        "event": "success",
        "request_id": "request-of-a-test",
        "user_id": str(one.user_id),
        "conversation_id": str(one.conversation_id),
        "duration_ms": 333,
        "help_request_id": str(one.help_request_id),
    }
    assert line["timestamp"].endswith("Z")
    assert next(iter(line)) == "timestamp"


def test_an_error_report_keeps_method_and_address_of_the_request_alone():
    event = {
        "request": {
            "url": "http://site/api/x?q=zanzibarfish",
            "query_string": "q=zanzibarfish",
            "method": "POST",
            "data": "zanzibarfish",
            "cookies": {"sessionid": "zanzibarfish"},
            "headers": {"Authorization": "zanzibarfish"},
        },
        "user": {"email": "zanzibarfish"},
        "breadcrumbs": {"values": ["zanzibarfish"]},
        "extra": {"a": "zanzibarfish"},
        "logentry": {"message": "%s", "params": ["zanzibarfish"]},
        "exception": {"values": [{"stacktrace": {"frames": [{"vars": {"text": "zanzibarfish"}}]}}]},
    }
    cleaned = clean(event, {})
    assert "zanzibarfish" not in json.dumps(cleaned)
    assert cleaned["request"] == {"url": "http://site/api/x", "method": "POST"}
