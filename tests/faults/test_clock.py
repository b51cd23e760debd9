"""The application's clock is wrong by weeks: nobody notices, for the database's is the only one that counts."""

import ast
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from carecollective.help_requests.services import complete_request, reopen_request
from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.services import offer_help, send_message
from carecollective.privacy.archive import collect
from rollout.models import Source
from rollout.promotion.services import roll_back
from rollout.telemetry import events
from tests.roles import as_role

ROOT = Path(__file__).resolve().parents[2]
# What asks the machine, by the last two parts of its whole name. `time.monotonic` measures, and says no time.
CLOCKS = {
    *(f"timezone.{name}" for name in ("now", "localtime", "localdate")),
    *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
    *(f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime", "strftime", "ctime", "asctime")),
    "date.today",
}
PRODUCT = ("carecollective", "messaging_v1", "messaging_v2", "rollout")
ALLOWED = {
    "carecollective/accounts/migrations/0012_know_whose_sessions.py timezone.now": "skips sessions that are over, once",
    "carecollective/accounts/sign_in/codes.py time.time": "a wrong clock only makes a mailed code work for longer or not at all",
    "carecollective/accounts/sign_in/middleware.py timezone.now": "as the next",
    "carecollective/accounts/sign_in/sessions.py timezone.now": "as Django's own sessions do: a wrong clock only ends them sooner",
    "carecollective/contact/migrations/0001_contact_messages.py timezone.now": "the same default",
    "carecollective/contact/models.py timezone.now": "the writer may not read the row, so not what the database put there either",
    "carecollective/core/templatetags/member_times.py timezone.now": "only the age that a page shows is taken from it",
    "carecollective/help_requests/models.py timezone.now": "a wrong clock only offers sooner or later to keep a request open",
    "carecollective/inbox/replies/addresses.py time.time": "counts the days that an address for replies works",
    "carecollective/safety/errors.py timezone.localtime": "words a date that is given",
    "carecollective/inbox/views.py timezone.now": "a wrong clock only takes the same words, sent again, for new ones or old",
    "carecollective/mail/file_backend.py time.gmtime": "names a file that nobody sends",
    "carecollective/mail/file_backend.py time.strftime": "the same name",
    "carecollective/mail/file_backend.py time.time": "compared with what the same machine's clock wrote on the file",
    "carecollective/observability/logging.py datetime.now": "stamps a line of the log, as the machine's other logs are",
    "carecollective/postgres/embedded/supervisor.py time.gmtime": "says when the server ended, in its log: there is none to ask",
    "carecollective/postgres/embedded/supervisor.py time.strftime": "the same line",
    "rollout/migrations/0001_create_the_table_of_flags.py timezone.now": "waffle's own columns, which nothing of ours reads",
}

real_now, real_time = timezone.now, time.time


@pytest.fixture(params=[timedelta(days=40), timedelta(days=-40)], ids=["40 days ahead", "40 days behind"])
def put_clock_wrong(request, monkeypatch):
    """Let Django and Python tell a wrong time from now on."""

    def put() -> None:
        # Also where a library took it by name before.
        for module in list(sys.modules.values()):
            for name, value in list(vars(module).items()):
                if value is real_now and module.__name__ != __name__:
                    monkeypatch.setattr(module, name, lambda: real_now() + request.param)
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
    with as_role("owner"), connection.cursor() as cursor:
        cursor.execute("UPDATE knox_authtoken SET expiry = clock_timestamp() + interval '1 minute'")
    assert caller.get("/api/messaging/conversations").status_code == 200
    with as_role("owner"), connection.cursor() as cursor:
        cursor.execute("UPDATE knox_authtoken SET expiry = clock_timestamp() - interval '1 second'")
    assert caller.get("/api/messaging/conversations").status_code == 401


def test_an_export_says_when_by_the_databases_clock(db, member, put_clock_wrong):
    put_clock_wrong()
    made_at = collect(member=member(), on_progress=lambda done, of: None)["made_at"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() - %s", [made_at])
        assert timedelta(0) <= cursor.fetchone()[0] < timedelta(minutes=1)


def clocks_in(source: str) -> Iterator[tuple[int, str]]:
    """Return what asks the machine's clock, called or handed on, under whatever name it was imported: its line and name."""
    tree, names = ast.parse(source), dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute() | ast.Name():
                first, *rest = ast.unparse(node).split(".")
                whole = ".".join([names.get(first, first), *rest]).split(".")
                if ".".join(whole[-2:]) in CLOCKS:
                    yield node.lineno, ".".join(whole[-2:])
            case ast.keyword(arg="auto_now" | "auto_now_add" as name):
                yield node.value.lineno, name


def test_no_line_of_ours_asks_the_machine_what_time_it_is():
    asked = {
        f"{path.relative_to(ROOT)} {name}": line
        for folder in PRODUCT
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, name in clocks_in(path.read_text())
    }
    assert {place: line for place, line in asked.items() if place not in ALLOWED} == {}
    assert set(ALLOWED) <= set(asked), "an exception that nothing needs any more"


@pytest.mark.parametrize(
    "source",
    [
        "from django.utils import timezone; timezone.now()",
        "from django.utils import timezone as clock; clock.now()",
        "from django.utils.timezone import now; now()",
        "from django.utils.timezone import now as present; DateTimeField(default=present)",
        "from django.utils import timezone; DateTimeField(default=timezone.now)",
        "import django.utils.timezone; django.utils.timezone.localtime()",
        "import datetime; datetime.datetime.now(datetime.UTC)",
        "import datetime as dt; dt.date.today()",
        "from datetime import datetime; datetime.now(UTC)",
        "from time import time; time()",
        "import time; time.time_ns()",
        "DateTimeField(auto_now=True)",
    ],
)
def test_the_reading_sees_each_way_to_ask(source):
    assert len(list(clocks_in(source))) == 1


def test_the_reading_lets_measuring_and_mere_names_be():
    harmless = "import time; from datetime import time as clock, date; time.monotonic(); clock(7); seen.now(); date(2026, 1, 1)"
    assert list(clocks_in(harmless)) == []
