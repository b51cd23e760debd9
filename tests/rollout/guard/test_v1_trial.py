"""After a rollback V1 is tried by itself: whether or not members use it, somebody hears that it does not serve."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from pytest_django import Settings

from carecollective.serving.worker import Worker
from carecollective.web import health
from rollout.alerts import lifecycle
from rollout.alerts.notifications import deliver_waiting
from rollout.dashboard.schema import Health
from rollout.dashboard.status import read_status
from rollout.gates.v1_service import read_v1_since_rollback
from rollout.guard import absence, v1_trial
from rollout.guard.runner import Guard
from rollout.guard.v1_trial import try_v1
from rollout.models import Source
from rollout.promotion.services import roll_back
from rollout.telemetry import events
from tests.roles import as_role
from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server
from tests.waiting import wait_for

Make = Callable[..., Any]
Sql = Callable[..., None]
BREAK = """
CREATE OR REPLACE FUNCTION public.break_v1() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no more room'; END $$;
CREATE TRIGGER break_v1 BEFORE INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION public.break_v1()
"""
MEND = "DROP TRIGGER break_v1 ON conversations"
BROKEN = {
    "a trigger that raises": BREAK,
    "a table renamed": "ALTER TABLE conversations RENAME TO conversations_moved",
    "a grant taken away": "REVOKE INSERT ON messages FROM carecollective_web",
}
AGE = "UPDATE rollout_v1_trial SET at = at - make_interval(secs => %s)"


in_a_transaction = pytest.mark.usefixtures("db")
seen_by_others = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def sql(beyond_policies: Make) -> Callable[..., None]:
    """Run a statement as the superuser."""

    def run(statement: str, *values: Any) -> None:
        with beyond_policies() as cursor:
            cursor.execute(statement, values or None)

    return run


@pytest.fixture
def slack(settings: Settings) -> Iterator[WebhookServer]:
    with webhook_server() as server:
        settings.SLACK_WEBHOOK_URL = server.address
        yield server


@pytest.fixture
def rolled_back(sql: Sql, stage: Make, member: Make, help_request: Make) -> None:
    """A rollback that everybody knows of, on a site with two members and a request."""
    events.forget()
    member()
    help_request()
    stage("percentage:10")
    roll_back(actor=None, reason="It hurts.", source=Source.COMMAND)
    # Long enough ago that the trials so far can have been made since.
    sql("ALTER TABLE rollout_change DISABLE TRIGGER USER")
    sql("UPDATE rollout_change SET at = at - interval '10 days'")
    sql("ALTER TABLE rollout_change ENABLE TRIGGER USER")
    sql("UPDATE rollout_change_alerts_start SET after_change_id = (SELECT max(id) FROM rollout_change)")


@pytest.fixture
def try_again(sql: Sql) -> Callable[[], None]:
    """Let ten minutes go by, and try V1."""

    def trial() -> None:
        sql(AGE, 600)
        assert try_v1() == 1

    return trial


def said() -> tuple[str, str]:
    found = read_v1_since_rollback()
    assert found is not None
    return found.state, re.sub(r"\d+ \w+ \d{4}, \d\d:\d\d UTC", "14:03 UTC", found.words)


def kinds() -> list[str]:
    return [alert.kind for alert in lifecycle.open_alerts()]


@in_a_transaction
def test_without_traffic_the_trial_tells_that_v1_serves(rolled_back: None) -> None:
    assert said() == ("insufficient", "Not known yet if V1 serves members: no start since the rollback.")
    assert try_v1() == 1
    words = "A trial start in V1 worked at 14:03 UTC. No member has started a conversation since the rollback."
    assert said() == ("pass", words)
    found = read_status().overview.v1_since_rollback
    assert found is not None
    assert found.state == "pass"
    assert kinds() == []
    assert (events.waiting(), _count("application_logs"), _count("inbox_notification")) == (0, 0, 0)


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


@in_a_transaction
def test_page_and_command_show_the_trial(
    rolled_back: None, staff: Make, signed_in: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    try_v1()
    page = signed_in(staff()).get("/admin/rollout/").content.decode()
    assert re.search(r"A trial start in V1 worked at <time [^>]*>[^<]* \d\d:\d\d UTC</time>\.", page)
    call_command("rollout", "status")
    assert re.search(
        r"^V1: A trial start in V1 worked at [\w ]+, \d\d:\d\d UTC\.", capsys.readouterr().out, re.MULTILINE
    )


@in_a_transaction
@pytest.mark.parametrize("how", BROKEN)
def test_a_failed_trial_is_shown_at_once_and_alerts_when_repeated(
    rolled_back: None, sql: Sql, slack: WebhookServer, try_again: Callable[[], None], how: str
) -> None:
    sql(BROKEN[how])
    assert try_v1() == 1
    assert said() == (
        "fail",
        "A trial start in V1 failed at 14:03 UTC with internal_server_error: members cannot start conversations."
        " No member has started a conversation since the rollback.",
    )
    assert kinds() == []
    try_again()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.severity) == ("v1_creation_failing", "critical")
    assert alert.error_codes == ("internal_server_error",)
    status = read_status()
    assert (status.health, status.words) == (Health.FAILING, alert.words)
    try_again()
    with as_role("guard"):
        Guard().look()
    deliver_waiting()
    (text,) = slack.texts
    assert text.startswith(
        "Critical: Members cannot start conversations in V1: 2 trial starts in a row failed, the last at"
    )
    assert "Error codes: internal_server_error (2)." in text


@in_a_transaction
def test_the_alert_ends_when_a_trial_works(rolled_back: None, sql: Sql, try_again: Callable[[], None]) -> None:
    sql(BREAK)
    try_v1()
    try_again()
    assert kinds() == ["v1_creation_failing"]
    sql(MEND)
    try_again()
    assert kinds() == []
    assert said()[0] == "pass"
    sql(BREAK)
    try_again()
    assert kinds() == []  # one failure after a success is the first again


@in_a_transaction
def test_what_members_own_starts_opened_a_trial_does_not_end(
    rolled_back: None, sql: Sql, try_again: Callable[[], None]
) -> None:
    sql(
        "INSERT INTO application_logs (key, timestamp, service, method, event, log_level, error_code, version, stage,"
        " duration_ms, request_id, connection_error)"
        " SELECT gen_random_uuid(), clock_timestamp(), 'MessagingServiceV1', 'startHelpConversation', 'error', 'error',"
        " 'internal_server_error', 'v1', 'disabled', 10, 'test', false FROM generate_series(1, 3)"
    )
    with as_role("guard"):
        Guard().look()
    assert kinds() == ["v1_creation_failing"]
    try_v1()
    try_again()
    assert kinds() == ["v1_creation_failing"]
    state, words = said()
    assert state == "fail"
    assert words == (
        "V1 does not serve members: 3 of 3 starts failed since the rollback. A trial start in V1 worked at 14:03 UTC."
    )


@in_a_transaction
def test_a_trial_each_minute_at_first_and_each_ten_minutes_later(rolled_back: None, sql: Sql) -> None:
    sql("ALTER TABLE rollout_change DISABLE TRIGGER USER")
    sql("UPDATE rollout_change SET at = clock_timestamp()")
    assert [try_v1(), try_v1()] == [1, 0]
    sql("UPDATE rollout_change SET at = at - interval '50 min'")
    sql(AGE, 59)
    assert try_v1() == 0
    sql(AGE, 1)
    assert [try_v1(), try_v1()] == [1, 0]
    sql("UPDATE rollout_change SET at = at - interval '50 min'")
    sql(AGE, 60)
    assert try_v1() == 0
    sql(AGE, 540)
    assert [try_v1(), try_v1()] == [1, 0]
    sql(AGE, 600)
    sql(BREAK)
    assert try_v1() == 1
    sql(AGE, 60)
    assert try_v1() == 1  # while it fails, each minute


@in_a_transaction
def test_no_trial_while_v2_is_on_or_v1_takes_no_writes(rolled_back: None, sql: Sql, stage: Make) -> None:
    stage("disabled", v1_writes=False)
    assert try_v1() == 0
    stage("internal")
    assert try_v1() == 0
    assert read_v1_since_rollback() is None


@in_a_transaction
def test_an_earlier_rollbacks_trial_says_nothing_of_this_one(rolled_back: None, sql: Sql, stage: Make) -> None:
    sql(BREAK)
    try_v1()
    stage("percentage:10")
    roll_back(actor=None, reason="It hurts again.", source=Source.COMMAND)
    assert said() == ("insufficient", "Not known yet if V1 serves members: no start since the rollback.")
    assert try_v1() == 1
    assert kinds() == []


@seen_by_others
def test_a_rollback_not_recorded_yet_is_followed_by_a_trial(
    stage: Make, member: Make, help_request: Make, connect_as: Make
) -> None:
    member()
    help_request()
    stage("percentage:10")
    with connect_as("web") as session:
        session.execute("SELECT FROM rollout_flag FOR NO KEY UPDATE")
        assert not roll_back(actor=None, reason="It hurts.", source=Source.COMMAND).is_recorded
        assert try_v1() == 1
        assert said()[0] == "pass"


@in_a_transaction
def test_a_success_that_is_old_is_none(rolled_back: None, sql: Sql) -> None:
    try_v1()
    sql(AGE, 1600)
    assert said() == (
        "insufficient",
        "A trial start in V1 worked at 14:03 UTC. Not known yet if V1 serves members: no start since the rollback.",
    )


@seen_by_others
def test_the_worker_tries_v1(rolled_back: None, settings: Settings) -> None:
    tasks = [(path, 0.1) for path, _seconds in settings.WORKER_TASKS if path == "rollout.guard.v1_trial.try_v1"]
    worker = Worker(tasks)
    (thread,) = worker.threads
    worker.leading.set()
    thread.start()
    try:
        wait_for(lambda: said()[0] == "pass", seconds=10)
    finally:
        worker.stop()
        thread.join(5)


@seen_by_others
def test_without_a_worker_the_guard_tries_v1_and_goes_on_watching(
    rolled_back: None, sql: Sql, connect_as: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "WORKER_SILENCE_SECONDS", 0)
    guard = Guard()
    try:
        with transaction.atomic(), as_role("guard"):
            guard.look()
        thread = guard.watch.threads[absence._try_v1]
        wait_for(lambda: not thread.is_alive(), seconds=10)
        assert said()[0] == "pass"
        sql(AGE, 600)
        with connect_as("superuser") as session:
            session.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
            for _look in range(3):
                began = time.monotonic()
                with as_role("guard"):
                    guard.look()
                assert time.monotonic() - began < 0.5
            assert guard.watch.threads[absence._try_v1].is_alive()
            began = time.monotonic()
            roll_back(actor=None, reason="It hurts.", source=Source.COMMAND)
            assert time.monotonic() - began < 3.0
            wait_for(lambda: said()[0] == "fail", seconds=10)
        assert "with database_error" in said()[1]
    finally:
        guard.lock.release()


@seen_by_others
def test_a_trial_on_a_lost_database_is_no_members_error(rolled_back: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return True

    monkeypatch.setattr(v1_trial, "_rehearsals", [cut])
    assert try_v1() == 1
    assert said()[0] == "fail"
    assert (events.waiting(), _count("application_logs")) == (0, 0)
