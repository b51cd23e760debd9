"""When not even the insert succeeds: one sentence, nothing written, and the guard lets its lease run out."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from carecollective.accounts.models import User
from rollout.guard.runner import Guard
from rollout.models import Change, Rollback
from rollout.promotion import rollbacks
from rollout.targeting import snapshot
from tests.roles import as_role

Connect = Callable[..., "psycopg.Connection[Any]"]
SENTENCE = (
    "Somebody has locked the table of rollbacks, so this one could not be written. V2 is as it was. Try again, or set"
    " MESSAGING_V2_ROLLOUT=disabled and restart the site: that needs no database."
)
FAILED_STARTS = """
INSERT INTO application_logs (key, service, method, event, log_level, error_code, version, stage, duration_ms, request_id,
  connection_error)
SELECT gen_random_uuid(), 'MessagingServiceV2', 'startHelpConversation', 'error', 'error', 'internal_server_error', 'v2',
  'percentage:10', 40, 'test', false FROM generate_series(1, 20)
"""


@pytest.fixture
def locked_table(committed_db: None, connect_as: Connect) -> Iterator["psycopg.Connection[Any]"]:
    """Only the owner and a superuser can do this; the table stays readable."""
    locker = connect_as("superuser")
    locker.execute("LOCK TABLE rollout_rollback IN SHARE MODE")
    yield locker
    locker.rollback()


@pytest.fixture
def guard(committed_db: None) -> Iterator[Guard]:
    """A guard whose lock is on a connection of its own role, as its process has it."""
    guarding = Guard()
    assert guarding.lock.take()
    with guarding.lock.cursor() as cursor:
        cursor.execute("SET ROLE carecollective_guard")
    yield guarding
    guarding.lock.release()


def test_the_command_ends_with_one_sentence(locked_table: Any, stage: Callable[..., None]) -> None:
    stage("percentage:10")
    changes = Change.objects.count()
    with pytest.raises(CommandError) as refusal:
        call_command("rollout", "rollback", "--reason", "Offers fail")
    assert str(refusal.value) == SENTENCE
    assert (Change.objects.count(), Rollback.objects.count()) == (changes, 1)
    assert str(snapshot.read_now().stage) == "percentage:10"


def test_the_page_says_the_same_sentence(
    locked_table: Any, stage: Callable[..., None], staff: Callable[..., User], signed_in: Callable[..., Client]
) -> None:
    stage("percentage:10")
    answer = signed_in(staff()).post("/admin/rollout/", {"action": "roll_back", "reason": "Offers fail"})
    assert answer.status_code == 503
    assert SENTENCE in answer.content.decode()
    assert str(snapshot.read_now().stage) == "percentage:10"


def test_the_guard_logs_it_once_lets_its_lease_run_out_and_retries(
    locked_table: "psycopg.Connection[Any]",
    stage: Callable[..., None],
    connect_as: Connect,
    guard: Guard,
    caplog: pytest.LogCaptureFixture,
) -> None:
    superuser = connect_as("superuser", autocommit=True)
    stage("percentage:10")
    superuser.execute(FAILED_STARTS)
    superuser.execute("UPDATE rollout_guard_lease SET renewed_at = clock_timestamp() - interval '50 s'")
    renewed = superuser.execute("SELECT renewed_at FROM rollout_guard_lease").fetchone()
    with as_role("guard"), caplog.at_level(logging.INFO, logger="rollout.guard.runner"):
        guard.tick()
        guard.tick()
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert said == [f"The guard could not roll back and will try again. {SENTENCE}"]
        assert superuser.execute("SELECT renewed_at FROM rollout_guard_lease").fetchone() == renewed
        locked_table.rollback()
        guard.tick()
    assert superuser.execute("SELECT renewed_at FROM rollout_guard_lease").fetchone() != renewed
    change = Change.objects.latest("pk")
    assert (change.to_stage, change.source) == ("disabled", "guard")
    assert rollbacks.describe_unfinished() == ""


def test_a_guard_that_is_blocked_says_so_once_while_it_lasts(
    committed_db: None,
    stage: Callable[..., None],
    connect_as: Connect,
    guard: Guard,
    caplog: pytest.LogCaptureFixture,
) -> None:
    superuser, locker = connect_as("superuser", autocommit=True), connect_as("superuser")
    stage("percentage:10")
    superuser.execute(FAILED_STARTS)

    def look() -> None:
        # After a failure both connections are new ones.
        with as_role("guard"), connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
            if guard.lock.take():
                with guard.lock.cursor() as holder:
                    holder.execute("SET ROLE carecollective_guard")
            guard.tick()

    for _outage in range(2):
        locker.execute("LOCK TABLE rollout_alert, rollout_change IN SHARE MODE")
        with caplog.at_level(logging.WARNING, logger="rollout.guard.runner"):
            caplog.clear()
            for _turn in range(3):
                look()
            assert len(caplog.messages) == 1, caplog.messages
        locker.rollback()
        look()
