"""One event for each start and send, however it ended."""

from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from psycopg import errors as postgres_errors

from carecollective.core import errors
from carecollective.inbox.services import send_message
from carecollective.messaging.errors import ConversationExists
from rollout.models.event_log import EventLog
from rollout.telemetry import events
from rollout.telemetry.outcomes import EXPECTED_REFUSALS, Method, Outcome, is_connection_error, judge
from rollout.versions import MessagingVersion

pytestmark = pytest.mark.django_db


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("name", "version"), [("enabled", "v2"), ("disabled", "v1")])
def test_a_start_is_one_event_with_all_that_is_known(offer, stage, member, help_request, name, version):
    stage(name)
    actor, request = member(), help_request()
    started = offer(actor=actor, help_request_id=request.pk)
    (event,) = events.recorded()
    assert (event.method, event.outcome, event.error_code) == (Method.START, Outcome.SUCCESS, None)
    assert (event.version, event.user_id) == (MessagingVersion(version), actor.pk)
    assert (event.conversation_id, event.help_request_id) == (started.conversation_id, request.pk)
    assert event.service == f"MessagingService{version.upper()}"
    assert 0 < event.duration_ms < 5000


@pytest.mark.parametrize(("name", "version"), [("enabled", "v2"), ("disabled", "v1")])
def test_a_send_is_one_event_in_the_version_of_its_conversation(offer, stage, member, name, version):
    stage(name)
    actor = member()
    started = offer(actor=actor)
    events.forget()
    send_message(actor=actor, conversation_id=started.conversation_id, content="See you then.")
    (event,) = events.recorded()
    assert (event.method, event.outcome, event.version) == (Method.SEND, Outcome.SUCCESS, version)
    assert (event.user_id, event.conversation_id) == (actor.pk, started.conversation_id)


def test_a_second_offer_is_a_refusal_with_the_conversations_id(offer, stage, member, help_request):
    stage("enabled")
    actor, request = member(), help_request()
    started = offer(actor=actor, help_request_id=request.pk)
    with pytest.raises(ConversationExists):
        offer(actor=actor, help_request_id=request.pk)
    refused = events.recorded()[-1]
    assert (refused.outcome, refused.error_code, refused.outcome.log_level) == (
        Outcome.REFUSED,
        "conversation_exists",
        "warn",
    )
    assert refused.conversation_id == started.conversation_id


def test_a_rolled_back_start_is_counted_all_the_same(offer, stage, monkeypatch):
    def fail(*given: Any) -> None:
        raise DatabaseError("the notification could not be kept")

    stage("enabled")
    monkeypatch.setattr("messaging_v2.services.quota_of", fail)
    with pytest.raises(DatabaseError):
        offer()
    assert events.flush()
    (row,) = EventLog.objects.all()
    assert (row.event, row.log_level, row.error_code) == ("error", "error", "internal_server_error")
    assert (row.version, row.service, row.stage) == ("v2", "MessagingServiceV2", "enabled")


@pytest.mark.parametrize(("name", "version"), [("enabled", "v2"), ("disabled", "v1")])
def test_a_message_that_the_database_refuses_is_our_failure(offer, stage, member, monkeypatch, name, version):
    stage(name)
    actor = member()
    started = offer(actor=actor)
    events.forget()
    monkeypatch.setattr(f"messaging_{version}.services.normalise_message", lambda text, **given: text * 2000)
    with pytest.raises(DatabaseError), transaction.atomic():
        send_message(actor=actor, conversation_id=started.conversation_id, content="Far too long.")
    (event,) = events.recorded()
    assert (event.outcome, event.error_code, event.version) == (Outcome.FAILED, "internal_server_error", version)


def test_recording_adds_no_query(offer, stage, member, help_request, django_assert_num_queries):
    stage("enabled")

    def count() -> int:
        from django.test.utils import CaptureQueriesContext

        actor, request = member(), help_request()
        with CaptureQueriesContext(connection) as queries:
            offer(actor=actor, help_request_id=request.pk)
        assert not [query for query in queries if "application_logs" in query["sql"]]
        return len(queries)

    assert count() == count()


def test_what_cannot_be_counted_does_not_fail_the_member(offer, stage, monkeypatch):
    def fail(event: Any) -> None:
        raise RuntimeError("no room")

    stage("enabled")
    monkeypatch.setattr("rollout.telemetry.counters.observe", fail)
    assert offer().version is MessagingVersion.V2


def test_a_direct_event_waits_for_the_end_of_the_transaction(settings, event):
    settings.ROLLOUT_EVENTS = "direct"
    with transaction.atomic():
        events.record(event())
    assert events.waiting() == 1


@pytest.mark.parametrize("code", sorted(EXPECTED_REFUSALS))
def test_the_members_own_refusals_are_warnings(code):
    refusal = errors.DomainError()
    type(refusal).code, before = code, errors.DomainError.code
    try:
        assert judge(refusal) == (Outcome.REFUSED, code)
    finally:
        errors.DomainError.code = before


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperationalError("gone"), "database_error"),
        (KeyError("x"), "internal_server_error"),
        (SystemExit(), "internal_server_error"),
    ],
)
def test_everything_else_is_a_failure_of_the_system(error, code):
    assert judge(error) == (Outcome.FAILED, code)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (OperationalError("connection refused"), True),
        (caused(OperationalError(), postgres_errors.TooManyConnections()), True),
        (caused(OperationalError(), postgres_errors.AdminShutdown()), True),
        (caused(OperationalError(), postgres_errors.LockNotAvailable()), False),
        (caused(OperationalError(), postgres_errors.QueryCanceled()), False),
        (caused(OperationalError(), postgres_errors.DeadlockDetected()), False),
        (KeyError("x"), False),
        (None, False),
    ],
)
def test_a_connection_error_is_a_server_that_could_not_be_reached(error, is_one):
    assert is_connection_error(error) is is_one


def test_a_repeat_after_a_lost_answer_counts_once(event, write):
    one = event()
    write(one, one)
    write(one)
    assert EventLog.objects.count() == 1


def test_the_time_is_the_databases_clock_set_back_by_the_age(event, write):
    write(event(age=90))
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - timestamp)::float FROM application_logs")
        (age,) = cursor.fetchone()
    assert 90 <= age < 92
