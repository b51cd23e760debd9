"""Events go when they are too old, by the worker's hand and only through the one function."""

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, IntegrityError, connection, transaction

from carecollective.core import retention
from rollout.models.event_log import EventLog
from rollout.telemetry.retention import prune_events
from tests.roles import as_role

DAY = 24 * 3600


@pytest.fixture
def keep_events(db, settings):
    """Let the owner write the setting where the function reads it, as each start does."""

    def keep(days):
        settings.EVENTS_RETENTION_DAYS = days
        with as_role("owner"), transaction.atomic():
            retention.save_periods()

    return keep


def test_what_is_older_than_the_setting_goes(keep_events, event, write):
    keep_events(7)
    write(event(age=6.9 * DAY), event(age=7.1 * DAY), event(age=300 * DAY))
    assert prune_events() == 2
    assert EventLog.objects.count() == 1
    assert prune_events() == 0


def test_more_than_one_batch_goes(db, event, write):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO application_logs (key, timestamp, service, method, event, log_level, stage, duration_ms,"
            " request_id, connection_error) SELECT gen_random_uuid(), now() - interval '40 days', 's', 'm', 'success',"
            " 'info', 'enabled', 1, 'r', false FROM generate_series(1, 5001)"
        )
    assert prune_events() == 5001


def test_a_day_is_always_kept(keep_events, event, write):
    with pytest.raises(IntegrityError, match="core_retention_of_a_day_at_least"), transaction.atomic():
        keep_events(0)
    keep_events(1)
    write(event(age=0.9 * DAY))
    assert prune_events() == 0


def test_what_a_process_believes_of_the_setting_deletes_nothing(db, settings, event, write):
    settings.EVENTS_RETENTION_DAYS = 1
    write(event(age=2 * DAY))
    assert prune_events() == 0
    with pytest.raises(DatabaseError), transaction.atomic():
        retention.save_periods()
    assert prune_events() == 0


def test_the_worker_does_it():
    assert ("rollout.telemetry.retention.prune_events", 3600) in django_settings.WORKER_TASKS
    assert django_settings.EVENTS_RETENTION_DAYS == 30


@pytest.mark.parametrize("role", ["web", "guard"])
@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM application_logs", "UPDATE application_logs SET stage = 'x'", "TRUNCATE application_logs"],
)
def test_nobody_rewrites_what_was_measured(connect_as, role, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect_as(role).execute(statement)


def test_the_guard_adds_nothing_and_prunes_nothing(connect_as):
    for statement in ("INSERT INTO application_logs DEFAULT VALUES", "SELECT public.rollout_prune_events()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connect_as("guard").execute(statement)
