"""No word of a message, no address and no token leaves the process with a log line, an event or an error report."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import sentry_sdk
from django.conf import settings as django_settings
from django.db import connection

from carecollective.observability import sentry
from carecollective.observability.logging import JsonFormatter, render_exception, scrub
from carecollective.observability.sentry import clean
from rollout.telemetry.outcomes import Outcome

TEXT = "zanzibarfish sings\nin the middle of the wolkenkuckuck"
WORDS = ("zanzibarfish", "wolkenkuckuck")
EMAIL = "quittenmarmelade@canary.example"
SERVICE = "MessagingServiceV2"
# The playbook's example, in its order.
FIELDS = [
    *("timestamp", "service", "method", "event", "request_id", "user_id", "conversation_id", "duration_ms"),
    "help_request_id",
]
WITHHELD = {
    "send_default_pii": False,
    "include_local_variables": False,
    "max_request_body_size": "never",
    "max_breadcrumbs": 0,
}


@pytest.fixture
def heard(connect_as: Any) -> Callable[[], str]:
    """What the database's server writes down during the test, a last sentence that it is given included."""
    log, sentence = django_settings.DATA_DIR / "postgres.log", f"heard {uuid4()}"
    before = log.stat().st_size

    def listen() -> str:
        connect_as("superuser", autocommit=True).execute(f"DO $$ BEGIN RAISE LOG '{sentence}'; END $$")
        with log.open(errors="replace") as file:
            file.seek(before)
            text = file.read()
        assert sentence in text
        return text

    return listen


@pytest.fixture
def canary(committed_db: None, connect_as: Any, stage: Any) -> "subprocess.CompletedProcess[str]":
    stage("enabled")
    web = connect_as("web").info
    parameters = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT")}
    parameters |= {"USER": web.user, "PASSWORD": web.password, "OPTIONS": {"server_side_binding": True}}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.rollout.telemetry.canary_site"],
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


def test_no_canary_leaves_its_cage(heard, canary, connect_as):
    assert canary.returncode == 0, canary.stderr
    first, _, rest = canary.stderr.partition("\n")
    token = first.removeprefix("TOKEN ")
    assert len(token) == 64
    logs, _, sent = canary.stdout.partition("SENTRY ")
    table = connect_as("superuser").execute("SELECT json_agg(a)::text FROM application_logs a").fetchone()
    assert table
    for name, text in {"stdout": logs, "stderr": rest, "Sentry": sent, "events": table[0], "server": heard()}.items():
        for secret in (*WORDS, EMAIL, EMAIL.partition("@")[0], token, token[::-1]):
            assert secret not in text, f"{secret} in {name}"

    # And yet each tells its story.
    events, others = ([json.loads(line) for line in text.splitlines() if line.startswith("{")] for text in (logs, rest))
    assert sum("exception" in line for line in others) >= 6
    assert {line["service"] for line in events} == {SERVICE}
    assert Counter(line["log_level"] for line in events) == {"info": 2, "warn": 1, "error": 2}
    assert not [line for line in others if "service" in line]
    for line in events:
        assert [name for name in line if name in FIELDS] == [name for name in FIELDS if name in line]
    assert "conversations_v2_initial_message_length" in rest
    assert "invalid input syntax for type uuid" in rest
    assert "conversations_v2_initial_message_length" in sent
    assert int(sent.partition("\n")[0]) >= 7
    assert '"stage":"enabled"' in sent
    assert '"version":"v2"' in sent
    kept = {row["request_id"]: row for row in json.loads(table[0])}
    assert kept.keys() == {line["request_id"] for line in events}, kept
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


def test_a_chain_of_errors_keeps_its_frames_without_quotes():
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


@pytest.fixture
def printed(event, monkeypatch):
    """The line that one event prints, as it is read back."""
    import logging

    from rollout.telemetry import events

    handler = next(iter(logging.getLogger("rollout.telemetry.events").handlers))
    assert isinstance(handler.formatter, JsonFormatter)

    def record(**fields: Any) -> dict[str, Any]:
        records: list[str] = []
        monkeypatch.setattr(handler, "emit", lambda record: records.append(handler.format(record)))
        events.record(event(**fields))
        (line,) = records
        return dict(json.loads(line))

    return record


def test_a_line_has_the_playbooks_names_in_its_order(printed, event):
    ids = {name: event().key for name in ("user_id", "conversation_id", "help_request_id")}
    line = printed(**ids, duration_ms=333.4)
    assert {name: line[name] for name in line if name not in ("timestamp", "logger", "version", "stage")} == {
        "log_level": "info",
        "service": SERVICE,
        "method": "sendMessage",
        "event": "success",
        "request_id": "request-of-a-test",
        "duration_ms": 333,
        **{name: str(one) for name, one in ids.items()},
    }
    assert line["timestamp"].endswith("Z")
    assert [name for name in line if name in FIELDS] == FIELDS


@pytest.mark.parametrize(
    ("outcome", "code", "level"),
    [
        (Outcome.SUCCESS, None, "info"),
        (Outcome.REFUSED, "conversation_exists", "warn"),
        (Outcome.REFUSED, "rate_limit_exceeded", "warn"),
        (Outcome.FAILED, "database_error", "error"),
    ],
)
def test_a_line_has_the_level_that_the_playbook_gives_it(printed, outcome, code, level):
    line = printed(outcome=outcome, error_code=code)
    assert (line["log_level"], line.get("error_code")) == (level, code)


@pytest.mark.filterwarnings("ignore:The send_default_pii option:DeprecationWarning")
def test_sentry_collects_nothing_about_people_or_their_texts(monkeypatch):
    asked: dict[str, Any] = {}
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: asked.update(options))
    sentry.start("http://key@127.0.0.1:1/1")
    # As the SDK itself understood them: it refuses an option that it does not know.
    quiet = {"default_integrations": False, "auto_enabling_integrations": False}
    understood = sentry_sdk.Client(**(asked | quiet)).options
    assert {name: understood[name] for name in WITHHELD} == WITHHELD
    assert understood["before_send"] is clean


def test_an_error_report_keeps_only_the_requests_method_and_path():
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
