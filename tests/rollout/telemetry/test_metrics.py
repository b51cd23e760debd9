"""The playbook's figures, from rows whose answers are known."""

from datetime import UTC, datetime, timedelta

import pytest

from rollout.telemetry import metrics
from rollout.telemetry.metrics import Proportion, Span, Window
from rollout.telemetry.outcomes import Method, Outcome
from rollout.versions import MessagingVersion
from tests.roles import as_role

HOUR = Window(3600)


def failed(event, code="database_error", **fields):
    return event(outcome=Outcome.FAILED, error_code=code, **fields)


def refused(event, code="validation_error", **fields):
    return event(outcome=Outcome.REFUSED, error_code=code, **fields)


def test_nothing_of_nothing_is_neither_good_nor_bad(db):
    assert metrics.creation_success(HOUR).successes.share is None
    assert metrics.outcomes(HOUR).failures.share is None
    assert metrics.latency_p95(HOUR).p95_ms is None
    assert metrics.duplicates(HOUR) == Proportion(0, 0)
    assert metrics.slow_calls(HOUR).slowest_ms is None
    assert metrics.errors_by_code(HOUR) == ()
    assert metrics.adoption(metrics.active_conversations()).share is None


def test_refusals_are_in_neither_rate(event, write):
    starts = {"method": Method.START}
    write(*(event(**starts) for _ in range(3)), failed(event, **starts), *(refused(event, **starts) for _ in range(6)))
    found = metrics.creation_success(HOUR)
    assert (found.succeeded, found.failed, found.refused, found.successes.share) == (3, 1, 6, 0.75)
    assert metrics.outcomes(HOUR).failures == Proportion(1, 4)


def test_creation_success_looks_at_starts_of_one_version(event, write):
    write(event(method=Method.START), failed(event), failed(event, method=Method.START, version=MessagingVersion.V1))
    assert metrics.creation_success(HOUR).successes.share == 1
    assert metrics.creation_success(HOUR, version="v1").successes.share == 0


def test_the_percentile_is_interpolated_and_leaves_refusals_out(event, write):
    write(*(event(duration_ms=float(n)) for n in range(1, 101)), refused(event, duration_ms=9999.0))
    found = metrics.latency_p95(HOUR)
    assert found.p95_ms == pytest.approx(95.05)
    assert found.calls == 100
    assert metrics.sends_within(HOUR, 50) == Proportion(49, 100)


def test_slow_calls_and_connection_errors_count_in_every_version(event, write):
    write(
        event(duration_ms=5000.0),
        refused(event, duration_ms=5000.1),
        failed(event, duration_ms=7000.0, version=None, connection_error=True),
    )
    found = metrics.slow_calls(HOUR)
    assert (found.count, found.calls, found.slowest_ms) == (2, 3, 7000.0)
    assert metrics.connection_errors(HOUR) == 1


def test_duplicates_are_a_share_of_all_starts_that_were_tried(event, write):
    starts = {"method": Method.START}
    write(event(**starts), failed(event, **starts), refused(event, "conversation_exists", **starts), event())
    assert metrics.duplicates(HOUR) == Proportion(1, 3)


def test_codes_are_listed_with_whose_they_are(event, write):
    write(event(), refused(event), refused(event), failed(event))
    assert [(one.code, one.count, one.share, one.members_own) for one in metrics.errors_by_code(HOUR)] == [
        ("validation_error", 2, 0.5, True),
        ("database_error", 1, 0.25, False),
    ]


def test_v1_creations_are_those_that_succeeded(event, write):
    v1 = {"method": Method.START, "version": MessagingVersion.V1}
    write(event(**v1), failed(event, **v1), event(method=Method.START))
    assert metrics.v1_creations(HOUR) == Proportion(1, 2)


def test_a_period_ends_where_it_says(event, write):
    now = datetime.now(UTC)
    write(event(age=30), event(age=600))
    assert metrics.outcomes(Window(60)).succeeded == 1
    assert metrics.outcomes(Span(now - timedelta(seconds=60))).succeeded == 1
    assert metrics.outcomes(Span(now - timedelta(seconds=900), now - timedelta(seconds=60))).succeeded == 1


def test_conversations_are_counted_in_the_tables_themselves(db, offer, stage):
    stage("enabled")
    offer()
    stage("disabled")
    offer()
    offer()
    v1, v2 = metrics.active_conversations()
    assert (v1.version, v1.active, v1.new_this_week, v1.new) == ("v1", 2, 2, 2)
    assert (v2.version, v2.active, v2.new_this_week, v2.new) == ("v2", 1, 1, 1)
    assert metrics.adoption((v1, v2)) == Proportion(1, 3)


def test_the_guard_reads_every_figure_and_no_conversation(committed_db, connect_as):
    import psycopg

    with as_role("guard"):
        assert metrics.creation_success(HOUR).successes.share is None
        assert metrics.latency_p95(HOUR).calls == 0
        assert metrics.adoption(metrics.active_conversations()).share is None
    guard = connect_as("guard", autocommit=True)
    for table in ("conversations_v2", "messages_v2", "conversations", "messages"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            guard.execute(f"SELECT FROM {table}".encode())


def test_counting_leaves_the_door_shut(db, offer, stage):
    from django.db import connection

    stage("enabled")
    offer()
    metrics.active_conversations()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM conversations_v2")
        assert cursor.fetchone() == (0,)
