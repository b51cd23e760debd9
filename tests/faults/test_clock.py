"""The application's clock is wrong by weeks: nobody notices, for the database's is the only one that counts."""

import ast
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from carecollective.help_requests.services import complete_request, reopen_request
from carecollective.inbox.services import close_conversation, offer_help, send_message
from rollout import events
from rollout.models import Source
from rollout.services import roll_back

ROOT = Path(__file__).resolve().parents[2]
# Whatever stands above, or asks, the machine's clock. `time.monotonic` measures, and says no time.
CLOCKS = {"now", "utcnow", "today", "time"}
OWNERS = {"timezone", "datetime", "date", "time"}
WATCHED = (
    *("carecollective/core", "carecollective/accounts", "carecollective/help_requests", "carecollective/inbox"),
    *("messaging_v1", "messaging_v2", "rollout"),
)

real_now, real_time = timezone.now, time.time


@pytest.fixture(params=[timedelta(days=40), timedelta(days=-40)], ids=["40 days ahead", "40 days behind"])
def put_clock_wrong(request, monkeypatch):
    """Let Django and Python tell a wrong time from now on."""

    def put() -> None:
        monkeypatch.setattr(timezone, "now", lambda: real_now() + request.param)
        monkeypatch.setattr(time, "time", lambda: real_time() + request.param.total_seconds())

    return put


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_all_that_is_kept_carries_the_databases_time(
    db, member, help_request, stage, api_client, beyond_policies, stage_name, put_clock_wrong
):
    owner, helper = member(), member()
    asked, caller = help_request(user=owner), api_client(helper)
    stage(stage_name)
    with beyond_policies() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        began = cursor.fetchone()[0]
    put_clock_wrong()

    key = offer_help(actor=helper, help_request_id=asked.pk, initial_message="Hello, I can help.").conversation_id
    send_message(actor=owner, conversation_id=key, content="Thank you")
    answer = caller.post(f"/api/messaging/conversations/{key}/messages", {"content": "Soon then"}, format="json")
    assert answer.status_code == 201, "the token is as old as the database says"
    assert caller.post(f"/api/messaging/conversations/{key}/read", {}, format="json").status_code == 204
    if stage_name == "enabled":
        close_conversation(actor=owner, conversation_id=key)
    complete_request(actor=owner, help_request_id=asked.pk)
    reopen_request(actor=owner, help_request_id=asked.pk)
    roll_back(actor=None, reason="The clocks are wrong.", source=Source.COMMAND)
    events.flush()

    table = {"disabled": ("conversations", "messages"), "enabled": ("conversations_v2", "messages_v2")}[stage_name]
    times = {
        table[0]: ("created_at", "updated_at"),
        table[1]: ("created_at", "updated_at"),
        "inbox_readpointer": ("read_to",),
        "inbox_notification": ("created_at",),
        "core_ratelimithit": ("at",),
        "application_logs": ("timestamp",),
        "rollout_change": ("at",),
        "rollout_flag": ("changed_at",),
    }
    with beyond_policies() as cursor:
        for name, columns in times.items():
            for column in columns:
                cursor.execute(
                    f"SELECT count(*), count(*) FILTER (WHERE {column} > clock_timestamp() OR {column} < %s) FROM {name}"
                    f" WHERE NOT ({column} < %s AND {column} > %s - interval '20 days')",
                    [began, began, began],
                )
                kept, wrong = cursor.fetchone()
                assert kept > 0, f"{name}.{column} shows nothing"
                assert wrong == 0, f"{name}.{column} is not the database's"
        cursor.execute("SELECT expires_at - updated_at FROM help_requests WHERE id = %s", [asked.pk])
        assert abs(cursor.fetchone()[0] - timedelta(days=30)) < timedelta(minutes=1)


def test_a_token_runs_out_by_the_databases_clock(db, member, api_client, put_clock_wrong):
    caller = api_client(member())
    put_clock_wrong()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE knox_authtoken SET expiry = clock_timestamp() + interval '1 minute'")
    assert caller.get("/api/messaging/conversations").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("UPDATE knox_authtoken SET expiry = clock_timestamp() - interval '1 second'")
    assert caller.get("/api/messaging/conversations").status_code == 401


def test_no_line_of_ours_asks_the_machine_what_time_it_is():
    asked = []
    for folder in WATCHED:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)):
                        if owner in OWNERS and name in CLOCKS:
                            asked.append(f"{path.relative_to(ROOT)}:{node.lineno} {owner}.{name}()")
    assert asked == []
